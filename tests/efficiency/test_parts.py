import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.efficiency.parts import find_parts, neuron_type


def test_neuron_type():
    with nengo.Network():
        lif = nengo.Ensemble(3, 1)
        direct = nengo.Ensemble(3, 1, neuron_type=nengo.Direct())
        node = nengo.Node([0])
    assert neuron_type(lif) == neuron_type(lif.neurons) == nengo.LIF()
    assert neuron_type(direct) is neuron_type(node) is None


def test_parts(Simulator):
    """Networks within networks, solved weights, Direct mode, functions."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=False)
        inp = nengo.Node([0.5, 0.5])
        a = nengo.Ensemble(4, 2, label="a")
        with nengo.Network(label="inner"):
            b = nengo.Ensemble(3, 1, label="b", neuron_type=nengo.LIFRate())
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct(), label="direct")
        square = nengo.Node(lambda t, x: x**2, size_in=1, label="square")
        solver = nengo.solvers.LstsqL2(weights=True)
        nengo.Connection(a[0], b, solver=solver, label="weights", synapse=None)
        nengo.Connection(a.neurons[[2, 0]], b.neurons[:2], label="slice", synapse=None)
        nengo.Connection(inp, direct, function=np.sum, label="sum", transform=3)
        nengo.Connection(direct, square, synapse=None, label="direct")
        nengo.Probe(a)
    with Simulator(net, device="/cpu:0") as sim:
        parts = find_parts(sim)

    names = ["ensembles['a']", "networks['inner'].ensembles['b']"]
    assert [population.name for population in parts.populations] == names
    assert [p.n_neurons for p in parts.populations] == [4, 3]
    assert [p.n_biases for p in parts.populations] == [4, 3]
    # voltage and refractory time
    assert [p.n_states for p in parts.populations] == [8, 0]

    projections = {p.label: p for p in parts.projections}
    # nothing is encoded, and Probes are no part of the network
    assert list(projections) == ["weights", "slice", "sum", "direct"]
    facts = {
        label: (p.transform, p.is_spiking, p.source.size, int(p.fan_out.synapses.sum()))
        for label, p in projections.items()
    }
    assert facts == {
        "weights": ("solved weights", True, 4, 12),
        "slice": ("NoTransform", True, 2, 2),
        "sum": ("Dense", False, 1, 1),
        "direct": ("NoTransform", False, 1, 0),
    }
    assert [p.n_states for p in parts.projections] == [0, 0, 1, 0]
    assert parts.n_layer_weights == 0
    assert sorted(parts.not_counted) == [
        "ensembles['direct']: an ensemble in Direct mode, which has no neurons",
        "nodes['square']: the function or process of a Node",
        "nodes[0] -> ensembles['direct'] ['sum']: the function of a connection that is "
        "not decoded",
    ]


@pytest.mark.parametrize("rules", [nengo.PES(), [nengo.PES()], {"a": nengo.PES()}])
def test_learning_rules(rules, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=False)
        a = nengo.Ensemble(4, 1)
        nengo.Connection(a, nengo.Node(size_in=1), learning_rule_type=rules)
    with Simulator(net, device="/cpu:0") as sim:
        (text,) = find_parts(sim).not_counted
    assert text == "ensembles[0] -> nodes[0]: the learning rule `PES`"


def test_encoders_of_learned_full_weights(Simulator):
    """The rule multiplies its error with the encoders, too, which is not counted."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=False)
        a, b = nengo.Ensemble(4, 1), nengo.Ensemble(3, 1, label="b")
        nengo.Connection(nengo.Node([0.5]), b, synapse=None)
        conn = nengo.Connection(
            a,
            b,
            solver=nengo.solvers.LstsqL2(weights=True),
            learning_rule_type=nengo.PES(),
        )
        nengo.Connection(b, conn.learning_rule)
    with Simulator(net, device="/cpu:0") as sim:
        parts = find_parts(sim)
        (encoders,) = (p for p in parts.projections if p.transform == "encoders")
        assert encoders.source is sim.model.sig[b]["in"]
