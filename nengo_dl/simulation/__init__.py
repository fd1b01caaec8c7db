"""A simulation in progress: its state, its inputs, and what it has recorded."""
