"""
Neuron types that NengoDL adds to those of Nengo.

They are ordinary Nengo neuron types and run in any backend; how TensorFlow runs them is
in `nengo_dl.neuron_builders`. ``J`` is the input current of a neuron,
``J = gain * x + bias``.
"""

from nengo_dl.neurons.rates import LeakyReLU, SoftLIFRate
from nengo_dl.neurons.spiking import IntegrateAndFire, SpikingLeakyReLU

__all__ = [
    "IntegrateAndFire",
    "LeakyReLU",
    "SoftLIFRate",
    "SpikingLeakyReLU",
]
