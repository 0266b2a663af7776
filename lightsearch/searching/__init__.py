"""Searching: settings, proposals, pruning, and the loop that trains what is proposed."""
