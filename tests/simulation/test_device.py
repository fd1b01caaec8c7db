import logging

import keras
import pytest
import tensorflow as tf

from nengo_dl.simulation import device as environment
from nengo_dl.simulation.device import report_device, working_context


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
