"""Files with the state of a simulation."""

import json

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import assert_unchanged, live_arrays, small_network


def test_state_of_other_networks(Simulator, path, tmp_path):
    for kwargs, message in [
        ({"network": small_network(n_neurons=5), "minibatch_size": 2}, "shape"),
        ({"network": small_network(label="other")}, "'other'"),
    ]:
        with Simulator(**kwargs) as sim:
            before = live_arrays(sim)
            with pytest.raises(SimulationError, match=f"of another network.*{message}"):
                sim.load_params(path, include_state=True)
            assert_unchanged(sim, before)
    other_type = small_network()
    other_type.ensembles[0].neuron_type = nengo.SpikingRectifiedLinear()
    with Simulator(other_type, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="state is that of another network"):
            sim.load_params(path, include_state=True)
        sim.load_params(path)
        sim.save_params(tmp_path / "stateless")
        with pytest.raises(SimulationError, match="no state of a simulation"):
            sim.load_params(tmp_path / "stateless", include_state=True)


def random_network():
    processes = [
        nengo.processes.WhiteNoise(),
        nengo.processes.FilteredNoise(),
        nengo.processes.BrownNoise(seed=1),
    ]
    with nengo.Network(seed=0) as net:
        nodes = [nengo.Node(process, size_out=1) for process in processes]
        stochastic = nengo.StochasticSpiking(nengo.RectifiedLinear())
        ens = nengo.Ensemble(5, 1, noise=processes[0], neuron_type=stochastic)
        nengo.Connection(nodes[0], ens)
        inner = nengo.Node(RandomWalk(), size_in=1, size_out=1)
        nengo.Connection(nodes[1], inner)
        net.probes_ = [nengo.Probe(obj) for obj in [*nodes, ens.neurons, inner]]
    return net


class RandomWalk(nengo.Process):
    """A process with input, which runs within the step."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"x": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        def step(t, u):
            state["x"] += rng.normal(size=shape_out)
            return u + state["x"]

        return step


@pytest.mark.filterwarnings("ignore:Python is called in every step")
@pytest.mark.parametrize("minibatch_size", [None, 2])
def test_random_numbers_go_on(minibatch_size, Simulator, tmp_path):
    net = random_network()

    def run(sim):
        sim.clear_probes()
        sim.run_steps(5)
        return [sim.data[probe] for probe in net.probes_]

    kwargs = {"minibatch_size": minibatch_size, "unroll_simulation": 1}
    with Simulator(net, **kwargs) as sim:
        first = run(sim)
        sim.save_params(tmp_path / "params", include_state=True)
        expected = run(sim)
    with Simulator(net, seed=5, **kwargs) as sim:
        sim.run_steps(3)
        sim.load_params(tmp_path / "params", include_state=True)
        values = run(sim)
        assert sim.n_steps == 10
    for value, expected_value, before in zip(values, expected, first):
        np.testing.assert_array_equal(value, expected_value)
        assert not np.array_equal(value, before)


@pytest.mark.filterwarnings("ignore:Python is called in every step")
def test_files_without_random_numbers(Simulator, tmp_path):
    """Early files have none; those of other networks do not fit."""
    net = random_network()
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(5)
        sim.save_params(tmp_path / "params", include_state=True)
        with np.load(tmp_path / "params.npz") as archive:
            arrays = dict(archive)
        header = json.loads(arrays["nengo_dl"].item())
        keys = header["state"].pop("python")
        arrays["nengo_dl"] = np.array(json.dumps(header))
        np.savez(tmp_path / "early.npz", **arrays)
        sim.reset()
        with pytest.warns(UserWarning, match="did not save the state of processes"):
            sim.load_params(tmp_path / "early", include_state=True)
        assert sim.n_steps == 5
        for wrong in (keys[1:], [*keys[:-1], keys[0]]):
            header["state"]["python"] = wrong
            arrays["nengo_dl"] = np.array(json.dumps(header))
            np.savez(tmp_path / "other.npz", **arrays)
            with pytest.raises(SimulationError, match="is nothing in the file"):
                sim.load_params(tmp_path / "other", include_state=True)
        header["state"]["python"] = keys
        arrays["nengo_dl"] = np.array(json.dumps(header))
        before = live_arrays(sim)
        for key, value, message in [
            ("seed", np.zeros(3, np.int64), "state is that of another network"),
            ("random[0].numbers", np.array([625.0, 0, 0]), "no random number gen"),
        ]:
            changed = {**arrays, f"state.{key}": value}
            np.savez(tmp_path / "wrong.npz", **changed)
            with pytest.raises(SimulationError, match=message):
                sim.load_params(tmp_path / "wrong", include_state=True)
        assert_unchanged(sim, before)


def test_what_began_elsewhere(Simulator, tmp_path):
    """What is drawn when a process starts, and outputs that have been changed."""
    with nengo.Network(seed=0) as net:
        constant = nengo.Node([1.0])
        signal = nengo.processes.WhiteSignal(0.1, high=100)
        probes = [nengo.Probe(nengo.Node(signal, size_out=1)), nengo.Probe(constant)]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.signals[sim.model.sig[constant]["out"]] = 3
        sim.run_steps(5)
        sim.save_params(tmp_path / "params", include_state=True)
        sim.run_steps(5)
        expected = [sim.data[probe][5:] for probe in probes]
    with Simulator(net, seed=7, unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "params", include_state=True)
        sim.run_steps(5)
        for probe, values in zip(probes, expected):
            np.testing.assert_array_equal(sim.data[probe], values)
    assert (expected[1] == 3).all()


@pytest.mark.training
@pytest.mark.filterwarnings("ignore:Python is called in every step")
@pytest.mark.filterwarnings("ignore:No gradient flows")
def test_state_after_training(Simulator, tmp_path):
    """What trains has random numbers of its own, which a new simulator has not yet."""

    class Noisy(nengo.neurons.StochasticSpiking):
        def step(self, *args, **kwargs):
            super().step(*args, **kwargs)

    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        noisy = nengo.Ensemble(10, 1, neuron_type=Noisy(nengo.LIFRate()))
        other = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(inp, noisy, synapse=None)
        nengo.Connection(inp, other, synapse=None)
        probe, trained = nengo.Probe(noisy.neurons), nengo.Probe(other)
    ones = np.ones((2, 1, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss={trained: "mse"})
        sim.fit(ones, {trained: ones}, verbose=0)
        sim.run_steps(5)
        sim.save_params(tmp_path / "params", include_state=True)
        sim.run_steps(5)
        expected = sim.data[probe][5:]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "params", include_state=True)
        sim.run_steps(5)
        np.testing.assert_array_equal(sim.data[probe], expected)
    assert expected.any()
