"""What `evaluate` and `predict` compute, from which data."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError
from training.linear_networks import linear_network, two_probes

pytestmark = pytest.mark.training


def test_every_minibatch_starts_alike(Simulator):
    net = linear_network(synapse=0.1)
    x = np.ones((6, 5, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        first, second, third = np.split(sim.predict(x, verbose=0)[net.probe], 3)
        np.testing.assert_array_equal(first, second)
        first, second, third = np.split(
            sim.predict(x, stateful=True, verbose=0)[net.probe], 3
        )
        assert np.all(second > first) and np.all(third > second)
        assert sim.n_steps == 15


def test_predict_takes_all_forms_of_data(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0], label="a")
        ens = nengo.Ensemble(10, 1)
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens, synapse=0.01)
    n_steps, batch = 5, 4
    x = np.random.RandomState(0).uniform(size=(batch, n_steps, 1))
    with Simulator(net, minibatch_size=batch, unroll_simulation=1) as sim:
        sim.run_steps(n_steps)
        sim.reset(include_probes=False)
        with pytest.warns(UserWarning, match="Batch size is determined statically"):
            generated = sim.predict(n_steps=n_steps, batch_size=-1, verbose=0)
        np.testing.assert_array_equal(generated[probe], sim.data[probe])

        sim.reset()
        sim.run_steps(n_steps, data=x)
        expected = np.array(sim.data[probe])
        sim.reset()
        np.testing.assert_array_equal(sim.predict_on_batch(x)[probe], expected)

        tiled, expected = np.tile(x, (3, 1, 1)), np.tile(expected, (3, 1, 1))
        steps = np.full((batch, 1), n_steps)
        as_dict = {"a": tiled, "n_steps": np.tile(steps, (3, 1))}
        forms = [
            (tiled, {}),
            ([tiled], {}),
            (tf.constant(tiled), {}),
            ({inp: tiled}, {}),
            ({"a": tiled}, {}),
            (((((x, steps),) for _ in range(3))), {"steps": 3}),
            (((([x, steps],)) for _ in range(3)), {"steps": 3}),
            (({"a": x, "n_steps": steps} for _ in range(3)), {"steps": 3}),
            (tf.data.Dataset.from_tensor_slices(as_dict).batch(batch), {}),
        ]
        for data, kwargs in forms:
            outputs = sim.predict(data, verbose=0, **kwargs)
            assert list(outputs) == [probe]
            np.testing.assert_allclose(outputs[probe], expected, rtol=1e-6)


def test_evaluate_takes_all_forms_of_data(Simulator):
    net = two_probes()
    ones, zeros = np.ones((6, 10, 1)), np.zeros((6, 10, 1))
    first = net.outputs[0]
    with Simulator(net, minibatch_size=3, unroll_simulation=1) as sim:
        sim.compile(loss={"probe": "mse"})
        with pytest.warns(UserWarning, match="Batch size is determined statically"):
            result = sim.evaluate([zeros, ones], zeros, batch_size=5, verbose=0)
        assert result == {"loss": 0, "probe_loss": 0}

        sim.compile(loss="mse")
        expected = {"loss": 1, "probe_loss": 0, "probe_1_loss": 1}
        steps = np.full((3, 1), 10.0)
        x = {"a": zeros[:3], "b": ones[:3], "n_steps": steps}
        y = {"probe": zeros[:3], "probe_1": zeros[:3]}
        forms = [
            (([zeros, ones], [zeros, zeros]), {}),
            (([tf.constant(zeros), tf.constant(ones)], [tf.constant(zeros)] * 2), {}),
            ((((x, y) for _ in range(2)),), {"steps": 2}),
        ]
        for data, kwargs in forms:
            result = sim.evaluate(*data, verbose=0, **kwargs)
            assert list(result) == list(expected) and result == expected
        generated = sim.evaluate(n_steps=10, y=[zeros[:3], zeros[:3]], verbose=0)
        assert generated["loss"] == 0

        sim.compile(loss={first: lambda y_true, y_pred: tf.constant(3.0)})
        assert sim.evaluate(n_steps=2, y={first: zeros[:3]}, verbose=0)["loss"] == 3
        sim.compile(loss={first: lambda y_true, y_pred: 1.0})
        assert sim.evaluate(n_steps=2, y={first: zeros[:3]}, verbose=0)["loss"] == 1


def test_partial_data_are_completed(Simulator):
    """Nodes without data have their own output, for every item."""
    with nengo.Network() as net:
        nodes = [
            nengo.Node([0.0]),
            nengo.Node(lambda t: t),
            nengo.Node(nengo.processes.WhiteNoise(seed=0)),
            nengo.Node([2.0]),
            nengo.Node(nengo.processes.WhiteNoise()),
        ]
        probes = [nengo.Probe(node) for node in nodes]
    x = np.random.RandomState(0).uniform(size=(4, 3, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        assert len(sim.tensor_graph.invariant_inputs) == 5
        out = [sim.predict({nodes[0]: x}, verbose=0)[p] for p in probes]
        np.testing.assert_allclose(out[0], x, rtol=1e-6)
        np.testing.assert_allclose(out[1][..., 0], [[0.001, 0.002, 0.003]] * 4)
        seeded = nodes[2].output.run_steps(3)
        np.testing.assert_allclose(out[2][:2], [seeded] * 2, rtol=1e-5)
        assert np.all(out[3] == 2)
        assert len(np.unique(out[4])) == 12
        # the noise is the same in the simulation that follows
        sim.run_steps(3)
        np.testing.assert_allclose(sim.data[probes[4]], out[4][:2], rtol=1e-6)


def test_functions_are_called_once_per_step(Simulator):
    calls = []
    with nengo.Network() as net:
        inp = nengo.Node([0])
        nengo.Node(lambda t: calls.append(t))
        nengo.Probe(inp)
    calls.clear()
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.predict({inp: np.zeros((6, 4, 1))}, verbose=0)
    np.testing.assert_allclose(calls, [0.001, 0.002, 0.003, 0.004])


def test_model_without_network(Simulator):
    model = nengo.builder.Model()
    model.build(linear_network())
    model.toplevel = None
    with pytest.warns(UserWarning, match="No top-level network"):
        sim = Simulator(None, model=model, unroll_simulation=1)
    with sim:
        assert sim.predict(n_steps=1, verbose=0)[model.probes[0]].shape == (1, 1, 1)


def test_nothing_probed(Simulator):
    with nengo.Network() as net:
        nengo.Node([0])
    with Simulator(net, unroll_simulation=1) as sim:
        assert sim.predict(n_steps=2, verbose=0) == {}
        sim.compile(loss="mse")
        with pytest.raises(SimulationError, match="no Probes"):
            sim.fit(n_steps=1)
