import logging
import os
import warnings

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

import nengo_dl
from nengo_dl.simulation import device as environment
from nengo_dl.simulation.device import (
    check_device,
    report_device,
    warn_of_fork,
    working_context,
)

is_tf32_allowed = tf.config.experimental.tensor_float_32_execution_enabled


def test_float_type_and_device():
    before = keras.config.floatx()
    with working_context("/cpu:0", "float64"):
        assert keras.config.floatx() == "float64"
        assert tf.constant(0).device.endswith("CPU:0")
    assert keras.config.floatx() == before


def test_everything_is_restored_after_errors():
    before = keras.config.floatx()
    with pytest.raises(RuntimeError, match="inside"), working_context(None, "float64"):
        raise RuntimeError("inside")
    assert keras.config.floatx() == before


def test_the_default_policy_of_keras_stays():
    before = keras.config.dtype_policy().name
    with working_context(None, "float64"):
        keras.layers.Dense(1)
    assert keras.config.dtype_policy().name == before
    assert keras.layers.Dense(1).dtype == before


def test_contexts_can_overlap():
    before = keras.config.floatx()
    first, second = (working_context(None, "float64") for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    keras.config.set_floatx(before)


@pytest.fixture(params=[True, False])
def tf32_of_user(request):
    """Set TensorFlow's switch to a value."""
    before = is_tf32_allowed()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(before)


def test_full_precision(tf32_of_user):
    with working_context(None, "float32", allow_tf32=True):
        assert is_tf32_allowed() is tf32_of_user
    with working_context(None, "float32", allow_tf32=False):
        assert not is_tf32_allowed()
        with working_context(None, "float32", allow_tf32=True):
            assert not is_tf32_allowed()
        assert not is_tf32_allowed()
    assert is_tf32_allowed() is tf32_of_user
    with pytest.raises(RuntimeError), working_context(None, "float32", False):
        raise RuntimeError("inside")
    assert is_tf32_allowed() is tf32_of_user


def test_contexts_of_full_precision_can_overlap(tf32_of_user):
    first, second = (working_context(None, "float32", False) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not is_tf32_allowed()
    second.__exit__(None, None, None)
    assert is_tf32_allowed() is tf32_of_user


@pytest.mark.training
@pytest.mark.parametrize("allow_tf32", [False, True])
def test_precision_of_simulators(allow_tf32, tf32_of_user, Simulator):
    """All calls are traced (compiled) and executed with the precision asked for."""
    seen = {}

    def executed(t, x):
        seen.setdefault("executed", set()).add(is_tf32_allowed())
        return x

    def traced(x):
        seen.setdefault("traced", set()).add(is_tf32_allowed())
        return x

    with nengo.Network() as net:
        nengo_dl.configure_settings(allow_tf32=allow_tf32)
        node = nengo.Node(executed, size_in=1)
        nengo.Connection(nengo.Node([1.0]), node, synapse=None)
        out = nengo_dl.Layer(traced)(node)
        scaled = nengo.Node(size_in=1)
        nengo.Connection(out, scaled, synapse=None)
        nengo.Probe(scaled)
    expected = {tf32_of_user and allow_tf32}
    y = np.ones((1, 2, 1))
    with Simulator(net, unroll_simulation=1) as sim, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert is_tf32_allowed() is tf32_of_user
        sim.compile("sgd", loss="mse")
        for call in (
            lambda: sim.run_steps(2),
            lambda: sim.predict(n_steps=2, verbose=0),
            lambda: sim.evaluate(n_steps=2, y=y, verbose=0),
            lambda: sim.fit(n_steps=2, y=y, verbose=0),
        ):
            seen.pop("executed", None)
            call()
            assert seen["executed"] == expected
            assert is_tf32_allowed() is tf32_of_user
        # (the type of the output is found out outside of the simulator)
        sim.reset()
        assert is_tf32_allowed() is tf32_of_user


@pytest.mark.parametrize(
    "device",
    [None, "", "cpu", "/CPU", "cpu:0", "/device:CPU:0", "/device:cpu:0"]
    + ["/job:localhost/replica:0/task:0/device:CPU:0"],
)
def test_devices_that_exist(device):
    check_device(device)


@pytest.mark.parametrize(
    "device", ["/cpu:99", "gpu:99", "/GPU:99", "/device:GPU:99", "/tpu:99", "tpu"]
)
def test_devices_that_do_not_exist(device):
    with pytest.warns(UserWarning, match=f"no device '{device}' here.*'CPU:0'"):
        check_device(device)


@pytest.mark.parametrize("device", [5, b"/cpu:0", "nonsense", "/cpu:x", "/cpu:0/gpu:0"])
def test_what_is_no_device(device):
    with pytest.raises(ValidationError, match='device: must be None, or.*"/cpu:0"'):
        check_device(device)


def test_scopes_may_be_left_in_any_order():
    def device():
        return tf.constant(0.0).device

    before = device()
    first, second = (working_context(d, "float32") for d in ("/cpu:0", "cpu"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with working_context("/cpu:0", "float32"):
        assert device().endswith("CPU:0")
    second.__exit__(None, None, None)
    assert device() == before
    with tf.device("/cpu:0"):
        pass


def test_invalid_device():
    before = keras.config.floatx()
    with (
        pytest.raises(ValueError, match="no device"),
        working_context("no device", "float64"),
    ):
        pass
    assert keras.config.floatx() == before


@pytest.mark.parametrize(
    "device, has_gpu, name",
    [
        ("/cpu:0", False, "CPU"),
        ("/CPU:0", True, "CPU"),
        ("/gpu:1", True, "GPU"),
        (None, True, "CPU/GPU"),
    ],
)
def test_device_is_logged(device, has_gpu, name, monkeypatch, caplog):
    monkeypatch.setattr(
        environment.tf.config, "list_physical_devices", lambda kind: [kind] * has_gpu
    )
    with caplog.at_level(logging.INFO):
        report_device(device)
    assert [r.getMessage() for r in caplog.records] == [f"Running on {name}"]


def test_no_gpu(monkeypatch, caplog):
    monkeypatch.setattr(environment.tf.config, "list_physical_devices", lambda kind: [])
    with caplog.at_level(logging.INFO), pytest.warns(UserWarning) as warnings:
        report_device(None)
    assert [r.getMessage() for r in caplog.records] == ["Running on CPU"]
    assert len(warnings) == 1
    assert "No GPU support detected" in str(warnings[0].message)


# -- settings of TensorFlow ------------------------------------------------------------


def test_checks_of_numerics(Simulator):
    """XLA cannot compile them; without XLA, they work."""
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0.5], label="a"))
    tf.debugging.enable_check_numerics()
    try:
        with pytest.raises(SimulationError, match="enable_check_numerics"):
            Simulator(net, device="/cpu:0")
        with net:
            nengo_dl.configure_settings(jit_compile=False)
        with Simulator(net, device="/cpu:0", unroll_simulation=1) as sim:
            sim.run_steps(2)
    finally:
        tf.debugging.disable_check_numerics()
    assert (sim.data[probe] == 0.5).all()


def test_eager_execution_is_needed(Simulator):
    with nengo.Network() as net:
        nengo.Node([0.5])
    with tf.Graph().as_default():
        with pytest.raises(SimulationError, match="need eager execution"):
            Simulator(net, device="/cpu:0")


def test_other_backends(Simulator, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(SimulationError, match="run on TensorFlow .*'jax'"):
        Simulator(nengo.Network(), device="/cpu:0")


def test_forked_processes(monkeypatch):
    monkeypatch.setattr(environment, "PROCESSES", [])
    for _ in range(2):
        warn_of_fork()
    assert [os.getpid()] == environment.PROCESSES
    monkeypatch.setattr(environment.os, "getpid", lambda: -1)
    with pytest.warns(UserWarning, match="was forked from one that had a Simulator"):
        warn_of_fork()
    warn_of_fork()
