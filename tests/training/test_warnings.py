"""Calls that do something else than one might think."""

from contextlib import nullcontext

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from training.linear_networks import linear_network, two_probes

pytestmark = pytest.mark.training


def test_synapse_warning(Simulator):
    for conn_synapse, probe_synapse, n_steps, other_synapse, warns in (
        (1, None, 1, None, True),
        (None, 1, 1, None, True),
        (None, 1, 2, None, False),
        (None, None, 1, 1, False),
        (1, None, 1, 1, True),
    ):
        with nengo.Network() as net:
            a, b = nengo.Node([0]), nengo.Node(size_in=1)
            nengo.Connection(a, b, synapse=conn_synapse)
            probe = nengo.Probe(b, synapse=probe_synapse)
            nengo.Probe(b, synapse=other_synapse)
        with Simulator(net, unroll_simulation=1) as sim:
            sim.compile(tf.optimizers.SGD(0.0), loss={probe: "mse"})
            x = np.zeros((1, n_steps, 1))
            for name in ("fit", "evaluate", "predict"):
                data = [x] if name == "predict" else [x, {probe: x}]
                with (
                    pytest.warns(UserWarning, match="contains synaptic filters")
                    if warns
                    else nullcontext()
                ):
                    getattr(sim, name)(*data, verbose=0)


def test_uneven_data(Simulator):
    net = linear_network()
    x = np.arange(5.0)[:, None, None]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse", metrics=["mae"])
        with pytest.warns(UserWarning, match="not evenly divisible"):
            assert len(sim.predict(x, verbose=0)[net.probe]) == 4
        with pytest.warns(UserWarning, match="not evenly divisible"):
            history = sim.fit(x, x, sample_weight=np.ones(5), verbose=0).history
        assert history["probe_mae"] == [pytest.approx(0.75)]
        x = np.ones((10, 1, 1))
        sim.fit(x, x, validation_split=0.2, verbose=0)


def test_targets_without_loss(Simulator):
    net = two_probes()
    x = np.ones((1, 1, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss={net.outputs[0]: "mse"})
        with pytest.warns(UserWarning, match=r"targets for \['probe_1'\]"):
            sim.evaluate([x, x], [x, x], verbose=0)


def test_too_many_and_too_few_arrays(Simulator):
    net = two_probes()
    x = np.ones((1, 2, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        for data in (x, [x]):
            with pytest.warns(UserWarning, match="does not match number of Nodes"):
                sim.predict(data, verbose=0)
        sim.predict([x, x], verbose=0)
        sim.predict({net.inputs[0]: x}, verbose=0)
        for method in (sim.evaluate, sim.fit):
            with pytest.warns(UserWarning, match="does not match number of Nodes"):
                method(x, [x, x], verbose=0)
            # (the loss is for all Probes, and counts for those that have targets)
            with pytest.warns(UserWarning, match="does not match number of Probes"):
                results = method([x, x], x, verbose=0)
            results = getattr(results, "history", results)
            assert "probe_loss" in results and "probe_1_loss" not in results
        sim.compile(loss=dict.fromkeys(net.outputs, "mse"))
        with pytest.warns(UserWarning, match="does not match number of Probes"):
            with pytest.raises(ValidationError, match="no targets for"):
                sim.fit([x, x], x, verbose=0)
