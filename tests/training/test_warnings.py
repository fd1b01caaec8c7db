"""Calls that do something else than one might think."""

from contextlib import nullcontext

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from training.linear_networks import linear_network, two_probes

import nengo_dl

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


@pytest.mark.parametrize(
    "neuron_type, settings, warns",
    [
        (nengo.LIF(), {}, True),
        (nengo.LIFRate(), {}, False),
        (nengo.LIF(), {"learning_phase": True}, False),
    ],
)
def test_validation_with_spikes(neuron_type, settings, warns, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=False, **settings)
        inp = nengo.Node([0.0])
        ens = nengo.Ensemble(5, 1, neuron_type=neuron_type, label="spikes")
        nengo.Connection(inp, ens, synapse=None)
        nengo.Probe(ens, synapse=None)
    x, y = np.zeros((2, 1, 1)), np.zeros((2, 1, 1))
    long_x, long_y = np.zeros((2, 5, 1)), np.zeros((2, 5, 1))
    counts = np.ones((2, 1), int)
    data = tf.data.Dataset.from_tensors(((x[:1], counts[:1]), y[:1]))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse", jit_compile=False)
        for validation in (
            {"validation_data": (x, y)},
            {"validation_split": 0.5},
            {"validation_data": data},
        ):
            with (
                pytest.warns(UserWarning, match="'?spikes.*spike once at most")
                if warns
                else nullcontext()
            ):
                sim.fit(x, y, verbose=0, **validation)
        # there is nothing to warn of
        sim.fit(x, y, verbose=0)
        sim.fit(x, y, validation_data=(long_x, long_y), verbose=0)
        sim.fit(x, y, validation_split=0.5, stateful=True, verbose=0)
        sim.evaluate(x, y, verbose=0)


def test_results_that_are_not_finite(Simulator):
    net = linear_network(jit_compile=False)
    x = np.ones((1, 1, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        hint = "NaN or infinite values in the targets .* labels out of range"
        for target, what in ((np.inf, "Infinite"), (np.nan, "NaN")):
            with pytest.warns(UserWarning, match=f"{what}: loss, probe_loss.*{hint}"):
                sim.evaluate(x, target * x, verbose=0)


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
        # one Probe needs targets, so one array is no question
        for probe in net.outputs:
            sim.compile(loss={probe: "mse"})
            for y in (x, [x]):
                assert sim.evaluate([x, x], y, verbose=0)["loss"] == 0
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
