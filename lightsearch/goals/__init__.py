"""The goals of a search: studies and fresh seeds, one after the other, until they are met."""
