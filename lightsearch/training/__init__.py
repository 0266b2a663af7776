"""Training: one epoch is a pure function of a task and a state."""
