"""Files of parameters of other networks, and of NengoDL 3."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import assert_unchanged, live_arrays, small_network

from nengo_dl.parameters.files import SavedParameter
from nengo_dl.parameters.live import Parameter
from nengo_dl.parameters.matching import match_parameters


def test_empty_networks(Simulator, sim, path, tmp_path):
    with Simulator(nengo.Network(), unroll_simulation=1) as empty:
        with pytest.raises(
            SimulationError, match=r"\(3\) != number of variables \(0\)"
        ):
            empty.load_params(path)
        empty.save_params(tmp_path / "empty")
        empty.load_params(tmp_path / "empty")
    with pytest.raises(SimulationError, match=r"\(0\) != number of variables \(3\)"):
        sim.load_params(tmp_path / "empty")


def test_other_networks(Simulator, path):
    def add(net):
        with net:
            nengo.Ensemble(10, 1, label="new")
        return net

    cases = [
        (
            small_network(n_neurons=6),
            r"encoders has shape \(5, 1\) in the file and \(6, 1\) in the network",
        ),
        (add(small_network()), r"only in the network: ensembles\['new'\]\.encoders, "),
        (nengo.Network(), "only in the file: .*nodes.0. -> ensembles.0..weights"),
    ]
    for net, message in cases:
        with Simulator(net, unroll_simulation=1) as sim:
            before = live_arrays(sim)
            with pytest.raises(SimulationError, match=message):
                sim.load_params(path)
            assert_unchanged(sim, before)


def test_sparse_weights_in_other_places(Simulator, tmp_path):
    def make(indices):
        with nengo.Network(seed=0) as net:
            a, b = nengo.Node([1, 2]), nengo.Node(size_in=2)
            sparse = nengo.Sparse((2, 2), indices=indices, init=[1, 2])
            nengo.Connection(a, b, transform=sparse)
            nengo.Probe(b)
        return net

    with Simulator(make([[0, 0], [1, 1]]), unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
    with Simulator(make([[0, 1], [1, 1]]), unroll_simulation=1) as sim:
        with pytest.raises(
            SimulationError, match="weights has its nonzero elements in"
        ):
            sim.load_params(tmp_path / "params")


def saved(name, value, minibatched=False):
    return SavedParameter(name, name, None, minibatched, np.asarray(value))


def own(name, shape, minibatched=False):
    return Parameter(name, name, None, None, shape, minibatched)


def test_many_problems_are_listed_in_short():
    with pytest.raises(SimulationError) as error:
        match_parameters([saved(f"a{i}", 0) for i in range(9)], [own("b", ())])
    assert "only in the file: a0, a1, a2, a3, a4, and 4 more" in str(error.value)
    assert "only in the network: b. " in str(error.value)


def test_minibatches():
    value = np.arange(6).reshape(3, 2)
    same = np.broadcast_to(value[0], (3, 2))

    def match(value, shape, *minibatched):
        x, y = saved("x", value, minibatched[0]), own("x", shape, minibatched[1])
        return match_parameters([x], [y])[y]

    assert (match(value, (3, 2), True, True) == value).all()
    assert (match(value[0], (4, 2), False, True) == value[0]).all()
    assert match(same, (4, 2), True, True).shape == (4, 2)
    assert (match(same, (2,), True, False) == value[0]).all()
    assert (match(value[:1], (2,), True, False) == value[0]).all()
    for shape, minibatched in [((2,), False), ((2, 2), True), ((1, 2), True)]:
        with pytest.raises(SimulationError, match="x was learned by 3 items"):
            match(value, shape, True, minibatched)
    # that it is as large as a minibatch makes no difference
    with pytest.raises(SimulationError, match=r"shape \(3, 2\) in the file and \(2,\)"):
        match(value, (3, 2), False, True)
