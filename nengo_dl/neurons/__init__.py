"""
Neuron types that NengoDL adds to those of Nengo.

They are ordinary Nengo neuron types and run in any backend; how TensorFlow runs them is
in `nengo_dl.neuron_builders`. ``J`` is the input current of a neuron,
``J = gain * x + bias``.
"""

from nengo_dl.neurons.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    Exponential,
    LogSigmoid,
    Mish,
    SiLU,
    Softplus,
    Softsign,
    Squareplus,
    TanhShrink,
)
from nengo_dl.neurons.piecewise import (
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    ReLU,
    SoftShrink,
    SparsePlus,
    SparseSigmoid,
    Threshold,
)
from nengo_dl.neurons.rates import LeakyReLU, SoftLIFRate
from nengo_dl.neurons.spiking import IntegrateAndFire, SpikingLeakyReLU

__all__ = [
    "Activation",
    "CELU",
    "ELU",
    "Exponential",
    "GELU",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "IntegrateAndFire",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "SELU",
    "SiLU",
    "SoftLIFRate",
    "SoftShrink",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "SpikingLeakyReLU",
    "Squareplus",
    "TanhShrink",
    "Threshold",
]
