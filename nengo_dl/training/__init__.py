"""The part of the simulator that works like a Keras model."""
