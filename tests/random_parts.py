"""
Random parts of networks: those of `nengo.networks` and `nengo.spa`, and dynamics.

In: choices drawn by Hypothesis, within a network. Out: Nodes and ensembles that may be
connected with others. An object comes after those that it depends on within a step.
"""

from __future__ import annotations

import nengo
import numpy as np
from hypothesis import event
from hypothesis import strategies as st
from nengo import networks, spa
from random_objects import SEEDS, SYNAPSES

# types that can have the default rates and intercepts
NEURON_TYPES = [
    nengo.LIF(),
    nengo.LIFRate(),
    nengo.AdaptiveLIF(),
    nengo.RectifiedLinear(),
    nengo.SpikingRectifiedLinear(),
]

# -- nengo.networks --------------------------------------------------------------------


def ensemble_array(draw):
    """Create an array of ensembles; perhaps with a function, or its neurons."""
    n_neurons, n_ensembles = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    array = networks.EnsembleArray(n_neurons, n_ensembles, ens_dimensions=1)
    objects = [array.input, array.output]
    if draw(st.booleans()):
        objects.append(array.add_output("square", np.square))
    if not isinstance(array.ea_ensembles[0].neuron_type, nengo.Direct):
        if draw(st.booleans()):
            objects.insert(0, array.add_neuron_input())
        if draw(st.booleans()):
            objects.append(array.add_neuron_output())
    return objects


def product(draw):
    """Create an element-wise product."""
    part = networks.Product(draw(st.integers(4, 16)), draw(st.integers(1, 3)))
    return [part.input_a, part.input_b, part.output]


def circular_convolution(draw):
    """Create a circular convolution, perhaps with an inverted input."""
    part = networks.CircularConvolution(
        draw(st.integers(4, 10)), draw(st.integers(1, 4)), invert_a=draw(st.booleans())
    )
    return [part.input_a, part.input_b, part.output]


def basal_ganglia(draw):
    """Create basal ganglia and a thalamus, connected."""
    size = draw(st.integers(1, 3))
    ganglia = networks.BasalGanglia(size, n_neurons_per_ensemble=draw(_few_neurons()))
    thalamus = networks.Thalamus(size, n_neurons_per_ensemble=draw(_few_neurons()))
    nengo.Connection(ganglia.output, thalamus.input)
    return [ganglia.input, ganglia.output, thalamus.input, thalamus.output]


def input_gated_memory(draw):
    """Create a memory with a gate, perhaps with an input that resets it."""
    part = networks.InputGatedMemory(
        draw(_few_neurons()), draw(st.integers(1, 2)), difference_gain=2.0
    )
    return [part.input, part.gate, part.reset, part.output]


def associative_memory(draw):
    """Create an associative memory, with some of its additions."""
    n_items = draw(st.integers(1, 3))
    vectors = np.eye(n_items, 3)
    part = networks.AssociativeMemory(
        vectors,
        draw(st.sampled_from([None, -vectors])),
        n_neurons=draw(_few_neurons()),
        inhibitable=draw(st.booleans()),
    )
    if draw(st.booleans()):
        part.add_default_output_vector(np.ones(3), n_neurons=4)
    if draw(st.booleans()):
        part.add_wta_network()
    if draw(st.booleans()):
        part.add_threshold_to_outputs(n_neurons=4)
    return [part.input, part.output]


# -- dynamics --------------------------------------------------------------------------


def integrator(draw):
    """Create an ensemble that integrates its input."""
    return [_recurrent(draw, np.eye(draw(st.integers(1, 2))))]


def oscillator(draw):
    """Create an ensemble that oscillates, at 1 to 10 Hz."""
    speed = 0.1 * 2 * np.pi * draw(st.integers(1, 10))
    return [_recurrent(draw, np.array([[1, speed], [-speed, 1]]))]


def _recurrent(draw, matrix):
    ensemble = nengo.Ensemble(draw(_few_neurons()), len(matrix))
    synapse = draw(SYNAPSES.filter(lambda synapse: synapse is not None))
    nengo.Connection(ensemble, ensemble, transform=matrix, synapse=synapse)
    return ensemble


# -- nengo.spa -------------------------------------------------------------------------


def cortex(draw):
    """Create a model of states, and of their bindings and comparisons."""
    vocabulary = _vocabulary(draw)
    actions = ["b = 0.5 * a * A", "b = ~a", "c_A = a, c_B = b", "d_A = B, d_B = b"]
    with spa.SPA() as model:
        model.a = _state(draw, vocabulary)
        model.b = _state(draw, vocabulary)
        model.c = spa.Compare(8, vocab=vocabulary, neurons_per_multiply=8)
        model.d = spa.Bind(8, vocab=vocabulary, n_neurons=6)
        chosen = draw(st.lists(st.sampled_from(actions), min_size=1, unique=True))
        model.cortical = spa.Cortical(spa.Actions(*chosen), neurons_cconv=4)
        model.input = spa.Input(a="A", b=_stimulus)
    return [model.c.output, model.d.output]


def rules(draw):
    """Create a model that chooses between actions."""
    vocabulary = _vocabulary(draw)
    actions = [
        "dot(a, A) --> b = A",
        "dot(a, B) - 0.2 --> b = B * a",
        "dot(b, A + B) --> a = b",
        "0.3 --> b = a, a = B",
    ]
    with spa.SPA() as model:
        model.a = _state(draw, vocabulary)
        model.b = _state(draw, vocabulary)
        chosen = draw(st.lists(st.sampled_from(actions), min_size=1, unique=True))
        model.ganglia = spa.BasalGanglia(spa.Actions(*chosen))
        model.thalamus = spa.Thalamus(
            model.ganglia,
            neurons_action=5,
            neurons_channel_dim=4,
            subdim_channel=4,
            neurons_gate=4,
            neurons_cconv=4,
        )
        model.input = spa.Input(a=_stimulus)
    return [model.ganglia.input, model.ganglia.output, model.b.output]


def _state(draw, vocabulary):
    return spa.State(
        8,
        subdimensions=draw(st.sampled_from([2, 8])),
        neurons_per_dimension=3,
        feedback=draw(st.sampled_from([0.0, 0.9])),
        vocab=vocabulary,
    )


def _vocabulary(draw):
    vocabulary = spa.Vocabulary(8, rng=np.random.RandomState(draw(SEEDS)))
    vocabulary.parse("A + B")
    return vocabulary


def _stimulus(t):
    return "A" if t < 0.01 else "0.5 * B"


def _few_neurons():
    return st.integers(4, 12)


# -- all of them -----------------------------------------------------------------------

# how often each is drawn; those with many operators less often
WEIGHTS = {
    ensemble_array: 3,
    product: 3,
    circular_convolution: 2,
    basal_ganglia: 2,
    input_gated_memory: 3,
    associative_memory: 3,
    integrator: 3,
    oscillator: 3,
    cortex: 1,
    rules: 1,
}


# those that inhibit neurons, which a Direct ensemble does not have
INHIBITING = (input_gated_memory, rules)


@st.composite
def parts(draw):
    """Create one of the parts in a subnetwork, with any type of neurons."""
    family = draw(st.sampled_from([f for f, n in WEIGHTS.items() for _ in range(n)]))
    event(f"part: {family.__name__}")
    neuron_types = st.sampled_from(NEURON_TYPES)
    if family not in INHIBITING:
        neuron_types |= st.just(nengo.Direct())
    with nengo.Network() as part:
        part.config[nengo.Ensemble].neuron_type = draw(neuron_types)
        return family(draw)
