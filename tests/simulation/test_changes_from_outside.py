"""What user interfaces do to a running simulation: change signals, empty recordings."""

import threading

import nengo
import numpy as np
import pytest
from nengo.builder.signal import Signal
from nengo.exceptions import ReadonlyError, SimulatorClosed, ValidationError

from nengo_dl.config import configure_settings


def network():
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        net.inp = nengo.Node([0.5, 1])
        net.pre = nengo.Ensemble(10, 2)
        net.post = nengo.Ensemble(10, 1, noise=nengo.processes.WhiteNoise())
        nengo.Connection(net.inp, net.pre)
        net.conn = nengo.Connection(
            net.pre, net.post, transform=[[1, 0]], learning_rule_type=nengo.PES()
        )
        nengo.Probe(net.inp)
        nengo.Probe(net.pre.neurons, "voltage")
        nengo.Probe(net.post, synapse=0.01)
    return net


def change_signals(sim, net):
    """Change state, learned weights, parts of both, a Node, and the time."""
    sig = sim.model.sig
    voltage, weights = sig[net.pre.neurons]["voltage"], sig[net.conn]["weights"]
    changes = {
        voltage: np.zeros(10),
        voltage[2:4]: 0.5,
        weights: np.full((1, 10), 0.02),
        weights[:, 2:4]: 0,
        sig[net.inp]["out"]: [1, -1],
        sim.model.step: 100,
    }
    sim.run_steps(5)
    for signal, value in changes.items():
        sim.signals[signal] = value
        assert (sim.signals[signal] == value).all()
        sim.run_steps(3)
    return [np.array(sim.data[probe]) for probe in net.probes]


def test_signals_can_be_changed(Simulator):
    net = network()
    with nengo.Simulator(net, progress_bar=False, optimize=False) as ref:
        expected = change_signals(ref, net)
        expected_rng = ref.rng.randint(1000)
        ref.reset()
        ref.run_steps(2)
    with Simulator(net, unroll_simulation=1) as sim:
        for value, right in zip(change_signals(sim, net), expected):
            assert np.allclose(value, right, rtol=0, atol=1e-10)
        assert sim.n_steps == 103
        assert np.isclose(sim.time, 0.103)
        assert sim.rng.randint(1000) == expected_rng
        sim.reset()
        assert sim.rng.randint(1000) == expected_rng
        sim.run_steps(2)
        for probe in net.probes:
            assert np.allclose(sim.data[probe], ref.data[probe], rtol=0, atol=1e-10)
    with pytest.raises(SimulatorClosed, match=r"Simulator\.rng"):
        sim.rng.randint(3)
    assert sim.signals is None


def test_signals_of_a_minibatch(Simulator):
    net = network()
    with Simulator(net, minibatch_size=3) as sim:
        voltage = sim.model.sig[net.pre.neurons]["voltage"]
        output = sim.model.sig[net.inp]["out"]
        values = np.arange(30).reshape(3, 10) / 40
        sim.signals[voltage] = values
        sim.signals[voltage[:2]] = [0.1, 0.2]
        assert np.allclose(sim.signals[voltage][:, 2:], values[:, 2:])
        assert np.allclose(sim.signals[voltage[:2]], [[0.1, 0.2]] * 3)
        sim.signals[output] = np.arange(6).reshape(3, 2)
        sim.run_steps(sim.unroll)
        assert (sim.data[net.probes[0]][:, -1] == [[0, 1], [2, 3], [4, 5]]).all()
        x = sim.predict(n_steps=5 * sim.unroll, verbose=0)[net.probes[0]]
        assert (x[:, -1] == [[0, 1], [2, 3], [4, 5]]).all()


def test_wrong_changes_of_signals(Simulator):
    net = network()
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
        sig = sim.model.sig
        voltage = sig[net.pre.neurons]["voltage"]
        before = sim.signals[voltage]
        with pytest.raises(ValueError, match="read-only"):
            before[...] = 0
        for value in (np.zeros(3), np.zeros((2, 10)), "0.5", None, 1j, [[0, 1], [2]]):
            with pytest.raises(ValueError, match=r"shape|inhomogeneous"):
                sim.signals[voltage] = value
        with pytest.raises(ValidationError, match=r"numbers of shape \(2,\)"):
            sim.signals[sig[net.inp]["out"]] = [1, 2, 3]
        with pytest.raises(KeyError, match="use a Probe"):
            sim.signals[sig[net.pre.neurons]["in"]] = 0
        with pytest.raises(KeyError, match="not part of this network"):
            sim.signals[Signal(np.zeros(3))] = 0
        assert (sim.signals[voltage] == before).all()

        sim.signals.update({voltage: before + 1, voltage[:1]: 0.5})
        assert (sim.signals[voltage][1:] == before[1:] + 1).all()
        sim.signals.reset(voltage)
        assert (sim.signals[voltage] == voltage.initial_value).all()


def test_constants_are_read_only(Simulator):
    with nengo.Network(seed=0) as net:
        pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        sparse = nengo.Sparse((10, 10), indices=[(0, 0)], init=[1])
        nengo.Connection(pre.neurons, post.neurons, transform=sparse)
        nengo.Probe(post, synapse=None)
    with Simulator(net, unroll_simulation=1) as sim:
        constants = sim.tensor_graph.values.constants()
        places = sim.tensor_graph.program.layout.places
        fixed = [
            signal
            for signal in sim.signals
            if places[signal][0] in constants
            and places[signal][0] not in sim.tensor_graph.base_params
        ]
        assert fixed
        with pytest.raises(ValidationError, match="read-only"):
            sim.signals[fixed[0]] = 1


@pytest.mark.parametrize("minibatch_size", [None, 2])
def test_rows_of_recorded_data(minibatch_size, Simulator):
    with nengo.Network() as net:
        inp = nengo.Node(lambda t: [t, 2 * t])
        probe, other = nengo.Probe(inp), nengo.Probe(inp, sample_every=0.002)
        without = nengo.Probe(inp)
        configure_settings(keep_history=True)
        net.config[without].keep_history = False
    shape = (2,) if minibatch_size is None else (minibatch_size, 2)
    with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
        raw = sim.data.raw
        rows = raw[probe]
        assert list(raw) == list(sim.data) and len(raw) == len(sim.data)
        assert raw[inp] is None and inp in raw
        assert rows == [] and len(rows) == 0
        sim.run_steps(5)
        assert len(rows) == 5 and len(raw[other]) == 2 and len(raw[without]) == 1
        assert rows[0].shape == shape
        assert np.allclose([row.ravel()[-1] for row in rows], 0.002 * np.arange(1, 6))
        copy = rows[:]
        assert isinstance(copy, list)

        del rows[:2]
        assert np.allclose(sim.data[probe][..., 0].ravel()[0], 0.003)
        del rows[:]
        sim.run_steps(3)
        assert len(copy) == 5
        assert len(rows) == len(sim.data[probe].reshape(-1, 3, 2)[0]) == 3
        assert len(raw[other]) == 4

        rows.append(np.zeros(shape))
        rows[0] = np.ones(shape)
        raw[other] = rows[-2:]
        assert len(rows) == 4 and len(raw[other]) == 2
        assert (rows[0] == 1).all() and (rows.pop() == 0).all()
        before = np.array(sim.data[probe])
        with pytest.raises(ValidationError, match=r"Rows of .* have the shape"):
            rows.append(np.zeros(3))
        with pytest.raises(ReadonlyError):
            raw[inp] = []
        assert (sim.data[probe] == before).all()

        sim.clear_probes()
        assert rows == []
        sim.run_steps(1)
        sim.data.reset()
    assert len(rows) == len(sim.data.raw[probe]) == 1


def test_an_interface_beside_the_simulation(Simulator):
    """One thread steps, another one reads and empties; then the network changes."""
    from_interface, shown = [0.0], []
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(10, 1)
        slider = nengo.Node(lambda t: from_interface[0])
        nengo.Connection(slider, ens)

    for n_rows in (20, 15):
        with net:
            voltage = nengo.Probe(ens.neurons[:5], "voltage")
            plot = nengo.Node(lambda t, x: shown.append((t, *x)), size_in=1)
            nengo.Connection(ens, plot, synapse=0.01)
        rows, errors = [], []
        with Simulator(net, unroll_simulation=1) as sim:

            def simulate(sim=sim, n_rows=n_rows, errors=errors):
                try:
                    for _ in range(n_rows):
                        sim.step()
                        from_interface[0] = 0.5
                except Exception as err:
                    errors.append(err)

            thread = threading.Thread(target=simulate, daemon=True)
            thread.start()
            while thread.is_alive():
                n = len(sim.data.raw[voltage])
                rows += sim.data.raw[voltage][:n]
                del sim.data.raw[voltage][:n]
                thread.join(0.001)
            assert not errors
            rows += sim.data.raw[voltage]
        assert np.shape(rows) == (n_rows, 5)
    # (Nengo calls functions once, at time 0, when a Node is made)
    assert sum(t > 0 for t, _ in shown) == 20 + 2 * 15
