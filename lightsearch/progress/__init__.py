"""The progress of a running search: its status, lines of text about it, and displays."""
