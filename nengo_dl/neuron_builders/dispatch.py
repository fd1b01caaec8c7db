"""The builder of neurons, which leaves the work to the builder of their type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal
from nengo.neurons import NeuronType

from nengo_dl.builder import BuildConfig, Builder, OpBuilder
from nengo_dl.neuron_builders.activations import ACTIVATIONS, ActivationBuilder
from nengo_dl.neuron_builders.base import NeuronBuilder
from nengo_dl.neuron_builders.integrate_and_fire import (
    IntegrateAndFireBuilder,
    SpikingRectifiedLinearBuilder,
)
from nengo_dl.neuron_builders.loihi import (
    LoihiLIFBuilder,
    LoihiSpikingRectifiedLinearBuilder,
    loihi_builder,
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
from nengo_dl.neurons import (
    IntegrateAndFire,
    LeakyReLU,
    SoftLIFRate,
    SpikingLeakyReLU,
)
from nengo_dl.signals import SignalDict

# Builders of neurons without state and noise. (Subclasses may add some.)
FUNCTIONS = (
    RectifiedLinearBuilder,
    SigmoidBuilder,
    TanhBuilder,
    LIFRateBuilder,
    SoftLIFRateBuilder,
    ActivationBuilder,
)

# Builders of neurons whose rates, in training, are functions of the current.
RATES = (
    SpikingRectifiedLinearBuilder,
    IntegrateAndFireBuilder,
    LIFBuilder,
    RegularSpikingBuilder,
    StochasticSpikingBuilder,
    PoissonSpikingBuilder,
    LoihiSpikingRectifiedLinearBuilder,
    LoihiLIFBuilder,
)


@Builder.register(SimNeurons)
class SimNeuronsBuilder(OpBuilder):
    """
    Build neurons by the builder of their type.

    Parameters
    ----------
    ops : list of nengo.builder.neurons.SimNeurons
        The merged operators; the neurons are of one type.

    Attributes
    ----------
    TF_NEURON_IMPL : dict of {type: type}
        Class attribute: the builder class of each neuron type. May be changed at any
        time; it is looked up when a simulator is built, and called with ``ops``.
    built_neurons : OpBuilder
        The builder that does the work.
    """

    TF_NEURON_IMPL: dict[type, type[OpBuilder]] = {
        nengo.RectifiedLinear: RectifiedLinearBuilder,
        nengo.SpikingRectifiedLinear: SpikingRectifiedLinearBuilder,
        nengo.Sigmoid: SigmoidBuilder,
        nengo.Tanh: TanhBuilder,
        nengo.LIFRate: LIFRateBuilder,
        nengo.LIF: LIFBuilder,
        nengo.AdaptiveLIFRate: AdaptiveLIFRateBuilder,
        nengo.AdaptiveLIF: AdaptiveLIFBuilder,
        nengo.Izhikevich: IzhikevichBuilder,
        nengo.RegularSpiking: RegularSpikingBuilder,
        nengo.StochasticSpiking: StochasticSpikingBuilder,
        nengo.PoissonSpiking: PoissonSpikingBuilder,
        SoftLIFRate: SoftLIFRateBuilder,
        LeakyReLU: RectifiedLinearBuilder,
        SpikingLeakyReLU: SpikingRectifiedLinearBuilder,
        IntegrateAndFire: IntegrateAndFireBuilder,
        **dict.fromkeys(ACTIVATIONS, ActivationBuilder),
    }

    def __init__(self, ops: Sequence[SimNeurons]):
        super().__init__(ops)
        builder = self.builder_class(ops[0]) or GenericNeuronBuilder
        self.built_neurons = builder(ops)
        self.pure = self.built_neurons.pure
        self.differentiable = self.built_neurons.differentiable

    @classmethod
    def builder_class(cls, op: SimNeurons) -> type[OpBuilder] | None:
        """
        Return the builder class for the neurons of an operator.

        It is that of the exact neuron type, or else that of the nearest parent class
        from which the neurons inherit their step (and state) unchanged: a subclass that
        changes its maths is never built as its parent.

        Parameters
        ----------
        op : nengo.builder.neurons.SimNeurons
            The operator.

        Returns
        -------
        builder_class : type or None
            None if the neurons have to be run by NumPy.
        """
        neuron_type = type(op.neurons)
        for parent in neuron_type.__mro__:
            builder = cls._builder_of_type(parent)
            if builder and (parent is neuron_type or _inherits(op, parent)):
                return builder
        return None

    @classmethod
    def _builder_of_type(cls, neuron_type: type) -> type[OpBuilder] | None:
        """Return the builder class that is registered, or ours for NengoLoihi."""
        registered = cls.TF_NEURON_IMPL.get(neuron_type)
        # NengoLoihi registers placeholders, which only raise an error
        if hasattr(registered, "build_step"):
            return registered
        return loihi_builder(neuron_type) or registered

    @property
    def implementation(self) -> Any:
        """The builder that does the work."""
        return self.built_neurons

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """Pass on."""
        self.built_neurons.build_constants(signals, config)

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the step."""
        super().build_pre(signals, config)
        self.built_neurons.build_pre(signals, config)

    def build_step(self, signals: SignalDict) -> Any:
        """Add the operations of one step."""
        return self.built_neurons.build_step(signals)

    def build_post(self, signals: SignalDict) -> None:
        """Restart the neurons."""
        self.built_neurons.build_post(signals)

    def rngs(self) -> list[np.random.RandomState]:
        """Return the random number generators of the neurons."""
        return self.built_neurons.rngs()

    @staticmethod
    def carried(op: SimNeurons) -> list[Signal]:
        """Ask the builder of the neurons."""
        return _rules(op).carried(op)

    @staticmethod
    def unused(op: SimNeurons) -> list[Signal]:
        """Ask the builder of the neurons."""
        return _rules(op).unused(op)

    @staticmethod
    def timeless(op: SimNeurons) -> bool:
        """Say whether the output is a function of the current."""
        return SimNeuronsBuilder.builder_class(op) in FUNCTIONS and not op.state

    @staticmethod
    def resting_in_training(op: SimNeurons) -> list[Signal]:
        """Return the state of neurons whose rates are trained."""
        is_noisy = getattr(op.neurons, "nengo_dl_noise", None) is not None
        is_rate = SimNeuronsBuilder.builder_class(op) in RATES and not is_noisy
        return list(op.state.values()) if is_rate else []

    @staticmethod
    def mergeable(x: SimNeurons, y: SimNeurons) -> bool:
        """Merge neurons of exactly the same type, if their builder allows it."""
        return type(x.neurons) is type(y.neurons) and _rules(x).mergeable(x, y)


def _rules(op: SimNeurons) -> type[NeuronBuilder]:
    """
    Return who answers for the builder of an operator.

    Builders from outside may be any classes with a ``build_step``, or mere
    placeholders: their groups are those of all neurons.
    """
    builder = SimNeuronsBuilder.builder_class(op)
    if isinstance(builder, type) and issubclass(builder, NeuronBuilder):
        return builder
    return NeuronBuilder


def _inherits(op: SimNeurons, parent: type[NeuronType]) -> bool:
    """Return whether neurons have the step and state of a parent class unchanged."""
    step = getattr(op.neurons.step, "__func__", None)
    return step is parent.step and list(op.state) == list(parent.state)
