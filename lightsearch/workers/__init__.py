"""Workers: where epochs run."""
