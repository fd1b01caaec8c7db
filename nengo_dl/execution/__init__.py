"""A `Program` in TensorFlow: the step, its variables, feeds, and compiled loops."""
