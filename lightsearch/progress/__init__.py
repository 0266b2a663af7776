"""What a search shows while it runs: its status, its lines, where they go."""
