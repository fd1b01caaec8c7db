import nengo
import numpy as np
import pytest
from nengo.builder import optimizer
from nengo.builder.processes import SimProcess
from nengo.processes import FilteredNoise, Piecewise, PresentInput, WhiteNoise
from numpy_operators import PlainOperator

from nengo_dl.builder import build_model
from nengo_dl.execution.process_seeds import is_random, process_order, seed_processes

DT = 0.001


class Drawing(PlainOperator):
    def make_step(self, signals, dt, rng):
        raise NotImplementedError


def noisy_network(n_noisy, n_others=0):
    """Return a network with many kinds of processes, which Nengo's optimizer merges."""
    with nengo.Network(seed=1) as net:
        for i in range(n_noisy + n_others):
            process = nengo.Node(FilteredNoise(synapse=nengo.Alpha(0.01)), size_out=1)
            noise = WhiteNoise() if i < n_noisy else None
            ens = nengo.Ensemble(10, 1, noise=noise)
            nengo.Connection(process, ens, synapse=0.01 * (i + 1))
            nengo.Connection(ens, ens, synapse=nengo.Alpha(0.02))
            nengo.Probe(process, synapse=0.01)
    return net


def test_which_processes_are_random():
    class NoisyLowpass(nengo.Lowpass):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            raise NotImplementedError

    class OtherLowpass(nengo.Lowpass):
        pass

    deterministic = [
        nengo.Lowpass(0.1),
        nengo.Alpha(0.1),
        nengo.synapses.LinearFilter([1], [0.1, 1]),
        nengo.synapses.Triangle(0.1),
        OtherLowpass(0.1),
        Piecewise({0: 1}),
        PresentInput([1], 1),
    ]
    assert not any(is_random(process) for process in deterministic)
    assert is_random(NoisyLowpass(0.1))
    assert is_random(WhiteNoise())
    assert is_random(FilteredNoise())


@pytest.mark.parametrize("n_noisy, n_others", [(0, 3), (1, 0), (1, 4)])
def test_order_is_that_of_nengo(n_noisy, n_others):
    model = build_model(noisy_network(n_noisy, n_others), DT)
    operators = list(model.operators)
    order = process_order(model)
    assert model.operators == operators

    # this changes the model, but keeps the operators of processes
    with nengo.Simulator(None, model=model, progress_bar=False) as ref:
        expected = [op for op in ref.step_order if isinstance(op, SimProcess)]
    assert len(order) == len(expected)
    assert [is_random(op.process) for op in order] == [
        is_random(op.process) for op in expected
    ]
    random = [op for op in expected if is_random(op.process)]
    assert [op for op in order if is_random(op.process)] == random


def test_order_is_always_the_same():
    """Nengo's own order is another one with each simulator."""
    orders = set()
    for _ in range(5):
        model = build_model(noisy_network(n_noisy=6), DT)
        order = process_order(model)
        orders.add(tuple(model.operators.index(op) for op in order))
    assert len(orders) == 1


def test_nengo_is_left_as_it_was():
    timer = optimizer.Timer
    process_order(build_model(noisy_network(n_noisy=2), DT))
    assert optimizer.Timer is timer
    assert "set" not in vars(optimizer)


def test_no_optimizer_without_need(monkeypatch):
    monkeypatch.delattr(optimizer, "optimize")
    with nengo.Network() as net:
        nengo.Probe(nengo.Ensemble(10, 1, noise=WhiteNoise(seed=0)), synapse=0.1)
    assert len(process_order(build_model(net, DT))) == 2


def test_seeds():
    """Everything draws a seed, even if it makes no use of it."""
    model = build_model(noisy_network(n_noisy=2), DT)
    order = [op for op in model.operators if isinstance(op, SimProcess)]
    rng = np.random.RandomState(7)
    expected = [op.process.get_rng(rng).get_state()[1] for op in order]

    rngs = seed_processes(order, np.random.RandomState(7), minibatch_size=2)
    for op, state in zip(order, expected):
        first, second = rngs[op]
        if is_random(op.process):
            assert (first.get_state()[1] == state).all()
            assert (second.get_state()[1] != state).any()
        else:
            assert first is second is None


def test_operators_that_numpy_runs_draw_in_between():
    model = build_model(noisy_network(n_noisy=2), DT)
    model.add_op(Drawing(reads=[model.time]))
    order = process_order(model)
    (drawing,) = (op for op in order if isinstance(op, Drawing))
    drawn, generators = [], []

    def make_step(op, item, rng):
        assert op is drawing and item == len(drawn)
        drawn.append(rng.randint(1000))
        generators.append(rng)

    rngs = seed_processes(order, np.random.RandomState(7), 2, make_step)
    assert drawing not in rngs
    rng = np.random.RandomState(7)
    for op in order:
        if op is drawing:
            assert drawn[0] == rng.randint(1000)
        else:
            state = op.process.get_rng(rng).get_state()[1]
            if is_random(op.process):
                assert (rngs[op][0].get_state()[1] == state).all()
    # steps may go on to draw, each item numbers of its own
    assert generators[0].randint(1000) == rng.randint(1000)
    assert generators[1].randint(1000) != rng.randint(1000)


def test_seeds_of_processes():
    with nengo.Network() as net:
        nengo.Node(WhiteNoise(seed=3), size_out=1)
    (op,) = process_order(build_model(net, DT))
    for seed in range(2):
        for rng in seed_processes([op], np.random.RandomState(seed), 2)[op]:
            assert rng.randint(1000) == np.random.RandomState(3).randint(1000)
