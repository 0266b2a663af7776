"""The model card of an exported file."""
