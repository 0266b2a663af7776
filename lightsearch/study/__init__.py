"""A study: its trials, its folder, what was confirmed in it, and the tables of it."""
