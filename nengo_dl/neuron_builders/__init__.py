"""
Builders of neurons.

In: groups of merged ``SimNeurons`` operators. Out: TensorFlow operations of one step of
the neurons, native ones for the types in ``SimNeuronsBuilder.TF_NEURON_IMPL``, calls of
NumPy code for all others.
"""

from __future__ import annotations

from nengo_dl.neuron_builders.activations import ActivationBuilder
from nengo_dl.neuron_builders.base import NeuronBuilder, TFNeuronBuilder
from nengo_dl.neuron_builders.dispatch import SimNeuronsBuilder
from nengo_dl.neuron_builders.integrate_and_fire import (
    IntegrateAndFireBuilder,
    SpikingRectifiedLinearBuilder,
)
from nengo_dl.neuron_builders.loihi import (
    LoihiLIFBuilder,
    LoihiSpikingRectifiedLinearBuilder,
)
from nengo_dl.neuron_builders.python import GenericNeuronBuilder
from nengo_dl.neuron_builders.rates import (
    AdaptiveLIFRateBuilder,
    LIFRateBuilder,
    RectifiedLinearBuilder,
    SigmoidBuilder,
    SoftLIFRateBuilder,
    TanhBuilder,
)
from nengo_dl.neuron_builders.rates_to_spikes import (
    PoissonSpikingBuilder,
    RegularSpikingBuilder,
    StochasticSpikingBuilder,
)
from nengo_dl.neuron_builders.spiking import (
    AdaptiveLIFBuilder,
    IzhikevichBuilder,
    LIFBuilder,
)

__all__ = [
    "ActivationBuilder",
    "AdaptiveLIFBuilder",
    "AdaptiveLIFRateBuilder",
    "GenericNeuronBuilder",
    "IntegrateAndFireBuilder",
    "IzhikevichBuilder",
    "LIFBuilder",
    "LIFRateBuilder",
    "LoihiLIFBuilder",
    "LoihiSpikingRectifiedLinearBuilder",
    "NeuronBuilder",
    "PoissonSpikingBuilder",
    "RectifiedLinearBuilder",
    "RegularSpikingBuilder",
    "SigmoidBuilder",
    "SimNeuronsBuilder",
    "SoftLIFRateBuilder",
    "SpikingRectifiedLinearBuilder",
    "StochasticSpikingBuilder",
    "TFNeuronBuilder",
    "TanhBuilder",
]
