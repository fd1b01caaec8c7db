"""Learning rules: every builder against Nengo's NumPy step, and whole networks."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from builder_oracle import check, signal
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

import nengo_dl
from nengo_dl import learning_rule_builders
from nengo_dl.graph_optimizer import mergeable, tree_planner

# -- single operators -----------------------------------------------------------------


def make_pes(n_pre, n_post, i=0, **kwargs):
    pre, error, delta = signal(n_pre, **kwargs), signal(n_post), signal(n_post, n_pre)
    return SimPES(pre, error, delta, 0.1 * (i + 1))


def make_bcm(n_pre, n_post, i=0, **kwargs):
    pre, post, theta = signal(n_pre, **kwargs), signal(n_post), signal(n_post)
    return SimBCM(pre, post, theta, signal(n_post, n_pre), 0.1 * (i + 1))


def make_oja(n_pre, n_post, i=0, **kwargs):
    pre, post = signal(n_pre, **kwargs), signal(n_post)
    weights, delta = signal(n_post, n_pre), signal(n_post, n_pre)
    return SimOja(pre, post, weights, delta, 0.1 * (i + 1), 0.2 + 0.1 * i)


def make_voja(n_pre, n_post, i=0, **kwargs):
    return SimVoja(
        pre_decoded=signal(n_pre, **kwargs),
        post_filtered=signal(n_post),
        scaled_encoders=signal(n_post, n_pre),
        delta=signal(n_post, n_pre),
        scale=np.linspace(1, 2 + i, n_post),
        learning_signal=signal(1),
        learning_rate=0.1 * (i + 1),
    )


def make_rls(n_pre, n_post, i=0, **kwargs):
    # Nengo wants a symmetric matrix
    inv_gamma = Signal(np.eye(n_pre) * (i + 1))
    inv_gamma.minibatched = True
    pre, error, delta = signal(n_pre, **kwargs), signal(n_post), signal(n_post, n_pre)
    return SimRLS(pre, error, delta, inv_gamma)


MAKERS = [make_pes, make_bcm, make_oja, make_voja, make_rls]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_single_operator(make, jit_compile):
    check([make(4, 3)], jit_compile=jit_compile, n_steps=3)
    check([make(1, 1)], jit_compile=jit_compile)


@pytest.mark.parametrize("make", MAKERS)
def test_input_without_minibatch(make):
    check([make(4, 3, shared=True)])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_merged_operators(make, jit_compile):
    ops = [make(4, n_post, i) for i, n_post in enumerate((3, 3, 3))]
    check(ops, jit_compile=jit_compile, n_steps=2)
    if make is not make_pes:
        ops = [make(4, n_post, i) for i, n_post in enumerate((3, 1, 5))]
        check(ops, jit_compile=jit_compile, n_steps=2)


@pytest.mark.parametrize("make", MAKERS)
def test_mergeable(make):
    assert mergeable(make(4, 3), [make(4, 3)])
    assert not mergeable(make(4, 3), [make(5, 3)])
    # in the errors of PES, sizes have to agree, too
    assert mergeable(make(4, 3), [make(4, 5)]) == (make is not make_pes)


def test_operators_are_exported():
    assert learning_rule_builders.SimPES is SimPES
    assert learning_rule_builders.SimRLS is SimRLS


# -- networks -------------------------------------------------------------------------


def compare(net, Simulator, n_steps=20, minibatch_size=3, atol=1e-10):
    """Compare all probes of a network with Nengo; return the last plan."""
    with net:
        nengo_dl.configure_settings(dtype="float64")
    with nengo.Simulator(net, progress_bar=False, optimize=False) as reference:
        reference.run_steps(n_steps)
    with Simulator(net, minibatch_size=minibatch_size) as sim:
        sim.run_steps(n_steps)
        plan = sim.tensor_graph.plan
    for probe in net.all_probes:
        expected = reference.data[probe]
        for item in sim.data[probe].reshape((minibatch_size, *expected.shape)):
            np.testing.assert_allclose(item, expected, atol=atol, err_msg=str(probe))
    return plan


def probe_rule(conn, weights=True):
    """Probe what a learning rule has to do with."""
    rule = conn.learning_rule
    probes = [nengo.Probe(rule, key) for key in rule.probeable]
    if weights:
        probes.append(nengo.Probe(conn, "weights", sample_every=0.003))
    return probes


RULES = {
    "pes": nengo.PES(1e-3),
    "pes_unfiltered": nengo.PES(1e-3, pre_synapse=None),
    "rls": nengo.RLS(1e-3),
    "bcm": nengo.BCM(1e-9),
    "oja": nengo.Oja(1e-6),
}
WITH_ERROR = ("pes", "pes_unfiltered", "rls")


def connect_error(conn):
    """Let an error that changes with time flow into a learning rule."""
    size = conn.learning_rule.size_in
    error = nengo.Node(lambda t: np.sin(100 * t + np.arange(size)))
    nengo.Connection(error, conn.learning_rule)


@pytest.fixture
def ensembles(seed):
    """A network of two ensembles, the first of which gets some input."""
    with nengo.Network(seed=seed) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.LIFRate()
        stimulus = nengo.Node([0.5, -0.3])
        a = nengo.Ensemble(12, 2, label="a")
        b = nengo.Ensemble(9, 2, label="b")
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Probe(b)
    return net, a, b


@pytest.mark.parametrize("minibatch_size", [1, 3])
@pytest.mark.parametrize("rule", WITH_ERROR)
def test_decoded(rule, minibatch_size, ensembles, Simulator):
    net, a, b = ensembles
    with net:
        conn = nengo.Connection(a, b, learning_rule_type=RULES[rule])
        connect_error(conn)
        probe_rule(conn)
    compare(net, Simulator, minibatch_size=minibatch_size)


@pytest.mark.parametrize("rule", ["pes", "bcm", "oja"])
def test_weight_solver(rule, ensembles, Simulator):
    net, a, b = ensembles
    with net:
        conn = nengo.Connection(
            a,
            b,
            solver=nengo.solvers.LstsqL2(weights=True),
            learning_rule_type=RULES[rule],
        )
        if rule in WITH_ERROR:
            connect_error(conn)
        probe_rule(conn)
    compare(net, Simulator)


# BCM and Oja are for connections between neurons; the error of RLS does not fit the
# weights of such connections, in Nengo either.
@pytest.mark.parametrize(
    "rule, to_neurons",
    [
        ("pes", True),
        ("pes", False),
        ("pes_unfiltered", True),
        ("pes_unfiltered", False),
        ("rls", False),
        ("bcm", True),
        ("oja", True),
    ],
)
def test_from_neurons(rule, to_neurons, ensembles, Simulator, rng):
    net, a, b = ensembles
    with net:
        post = b.neurons if to_neurons else b
        conn = nengo.Connection(
            a.neurons,
            post,
            transform=rng.uniform(-1e-3, 1e-3, size=(post.size_in, 12)),
            learning_rule_type=RULES[rule],
        )
        if rule in WITH_ERROR:
            connect_error(conn)
        probe_rule(conn)
    compare(net, Simulator)


@pytest.mark.parametrize("post_synapse", [0.005, None])
@pytest.mark.parametrize("with_learning_signal", [True, False])
def test_voja(post_synapse, with_learning_signal, ensembles, Simulator):
    net, a, b = ensembles
    with net:
        b.radius = 1.5
        rule = nengo.Voja(learning_rate=1e-1, post_synapse=post_synapse)
        conn = nengo.Connection(a, b, learning_rule_type=rule)
        if with_learning_signal:
            learning = nengo.Node(lambda t: -0.5 if t > 0.01 else 0)
            nengo.Connection(learning, conn.learning_rule, synapse=None)
        probe_rule(conn, weights=False)
    compare(net, Simulator)


@pytest.mark.parametrize(
    "pre_index, post_index, weights",
    [
        (slice(None), slice(None), False),
        (slice(None), slice(None), True),
        (slice(0, 1), slice(1, 2), False),
        (slice(0, 1), slice(1, 2), True),
        (slice(1, 2), slice(None, None, -1), False),
        (slice(1, 2), slice(None, None, -1), True),
        # (for weights, see `test_pes_advanced_indexing`)
        ([1, 0], [0, 1], False),
        ([1], 0, False),
        ([1], 0, True),
    ],
)
def test_pes_on_slices_of_dimensions(
    pre_index, post_index, weights, ensembles, Simulator
):
    net, a, b = ensembles
    with net:
        pre, post = a[pre_index], b[post_index]
        conn = nengo.Connection(
            pre,
            post,
            function=lambda x: [x[0]] * post.size_in,
            solver=nengo.solvers.LstsqL2(weights=weights),
            learning_rule_type=nengo.PES(1e-3),
        )
        connect_error(conn)
        probe_rule(conn)
    compare(net, Simulator)


@pytest.mark.parametrize(
    "pre_index, post_index",
    [
        (slice(None), slice(2, 6)),
        (slice(1, 12, 2), slice(None, None, 3)),
        (slice(None, None, -1), slice(8, 2, -2)),
        ([0, 3, 5], slice(0, 3)),
    ],
)
def test_pes_on_slices_of_neurons(pre_index, post_index, ensembles, Simulator, rng):
    net, a, b = ensembles
    with net:
        pre, post = a.neurons[pre_index], b.neurons[post_index]
        conn = nengo.Connection(
            pre,
            post,
            transform=rng.uniform(-1e-3, 1e-3, size=(post.size_in, pre.size_out)),
            learning_rule_type=nengo.PES(1e-3),
        )
        connect_error(conn)
        probe_rule(conn)
    compare(net, Simulator)


def test_pes_advanced_indexing(ensembles, Simulator):
    net, a, b = ensembles
    with net:
        nengo.Connection(
            a.neurons,
            b.neurons[[0, 3, 1]],
            transform=np.ones((3, 12)),
            learning_rule_type=nengo.PES(),
        )
    with pytest.raises(BuildError, match="advanced indexing"):
        Simulator(net)


def test_two_rules_on_one_connection(ensembles, Simulator):
    net, a, b = ensembles
    with net:
        conn = nengo.Connection(
            a,
            b,
            solver=nengo.solvers.LstsqL2(weights=True),
            learning_rule_type=[nengo.Oja(1e-6), nengo.BCM(1e-9)],
        )
        for rule in conn.learning_rule:
            nengo.Probe(rule, "delta")
        nengo.Probe(conn, "weights")
    compare(net, Simulator)


def test_items_learn_independently(ensembles, Simulator, rng):
    net, a, b = ensembles
    with net:
        nengo_dl.configure_settings(dtype="float64")
        conn = nengo.Connection(a, b, learning_rule_type=nengo.PES(1e-3))
        error = nengo.Node([0, 0])
        nengo.Connection(error, conn.learning_rule)
        probe = nengo.Probe(conn, "weights")
    values = rng.uniform(-1, 1, size=(3, 1, 2))
    with Simulator(net, minibatch_size=3) as sim:
        sim.run_steps(10, data={error: np.tile(values, (1, 10, 1))})
    for value, weights in zip(values, sim.data[probe]):
        error.output = value[0]
        with nengo.Simulator(net, progress_bar=False) as reference:
            reference.run_steps(10)
        assert np.allclose(weights, reference.data[probe])


# (rule, weight solver) on connections from 10 to 5 and to 10 neurons
MERGED = [
    (nengo.Voja, False),
    (nengo.Oja, True),
    (nengo.BCM, True),
    (nengo.PES, True),
    (nengo.PES, False),
]


@pytest.mark.parametrize("rule_type, weights", MERGED)
def test_merged_rules(rule_type, weights, Simulator, seed):
    sizes = (5, 5) if rule_type is nengo.PES else (5, 10)
    with nengo.Network(seed=seed) as net:
        nengo_dl.configure_settings(planner=lambda ops: tree_planner(ops, max_depth=10))
        a = nengo.Ensemble(3, 1, label="a")
        for i, n_neurons in enumerate(sizes):
            b = nengo.Ensemble(n_neurons, 1)
            conn = nengo.Connection(
                a,
                b,
                learning_rule_type=rule_type(learning_rate=0.1 * (i + 1) * 1e-6),
                solver=nengo.solvers.LstsqL2(weights=weights),
            )
            nengo.Probe(conn.learning_rule, "delta")
    plan = compare(net, Simulator, n_steps=10)
    operator = getattr(learning_rule_builders, f"Sim{rule_type.__name__}")
    assert [len(group) for group in plan if type(group[0]) is operator] == [2]


def test_online_learning_reset(ensembles, Simulator, tmp_path):
    net, a, b = ensembles
    with net:
        conn = nengo.Connection(a, b, learning_rule_type=nengo.PES(1e-2))
        connect_error(conn)

    with Simulator(net) as sim:
        before = sim.data[conn].weights.copy()
        sim.run(0.1, stateful=False)
        learned = sim.data[conn].weights.copy()
        assert not np.allclose(learned, before)
        sim.reset(include_trainable=False)
        assert np.allclose(sim.data[conn].weights, learned)
        sim.reset()
        assert np.allclose(sim.data[conn].weights, before)
