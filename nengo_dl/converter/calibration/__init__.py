"""
Calibration: thresholds, biases and start voltages of a converted network.

In: a conversion, and data. Out: spiking neurons that do what the activations of the
Keras model do, in few steps and with few spikes.
"""

from nengo_dl.converter.calibration.calibrate import calibrate
from nengo_dl.converter.calibration.procedure import Calibration, Trial

__all__ = ["Calibration", "Trial", "calibrate"]
