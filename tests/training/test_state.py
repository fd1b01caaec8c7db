"""Where the simulation is before and after `fit`, `evaluate`, `predict`."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from training.linear_networks import linear_network

pytestmark = pytest.mark.training


def test_training_leaves_the_simulation_alone(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        ens = nengo.Ensemble(20, 1, noise=nengo.processes.WhiteNoise(seed=0))
        nengo.Connection(inp, ens)
        probe = nengo.Probe(ens, synapse=0.1)
    x = np.random.RandomState(0).uniform(size=(4, 5, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(20)
        expected = np.array(sim.data[probe])
        sim.reset()
        sim.run_steps(10)
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        sim.fit(x, x, verbose=0)
        sim.evaluate(x, x, verbose=0)
        sim.predict(x, verbose=0)
        assert sim.n_steps == 10
        sim.run_steps(10)
        np.testing.assert_allclose(sim.data[probe], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "predict_on_batch"])
@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("stateful", [True, False])
def test_stateful(method, configured, stateful, Simulator):
    net = linear_network(synapse=0.1, stateful=configured)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        kwargs = {"n_steps": 5, "stateful": stateful}
        if method in ("fit", "evaluate"):
            kwargs["y"] = np.zeros((1, 5, 1))
        if method != "predict_on_batch":
            kwargs["verbose"] = 0
        for n_steps in (5, 10):
            if stateful and not configured and method != "predict_on_batch":
                with pytest.warns(UserWarning, match="Ignoring stateful=True"):
                    getattr(sim, method)(**kwargs)
            else:
                getattr(sim, method)(**kwargs)
            assert sim.n_steps == (n_steps if stateful and configured else 0)
