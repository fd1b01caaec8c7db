import keras
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.converter.calibration.data import check_data

X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def single():
    inp = keras.Input((3,), name="x")
    return keras.Model(inp, keras.layers.Dense(2, name="y")(inp))


@pytest.fixture(scope="module")
def double():
    inputs = [keras.Input((3,), name="first"), keras.Input((2,), name="second")]
    outputs = [keras.layers.Dense(2, name=name)(x) for name, x in zip("ab", inputs)]
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    "inputs, targets",
    [
        (X, Y),
        ([X], [Y]),
        ({"x": X}, {"y": Y}),
        (X.tolist(), Y.tolist()),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(3), None),
    ],
)
def test_ways_to_pass_data(single, inputs, targets):
    data = check_data(single, inputs, targets)
    np.testing.assert_array_equal(data.inputs[0], X)
    np.testing.assert_array_equal(data.targets[0], Y)
    assert [part.n_items for part in data.batches(3)] == [3, 1]
    np.testing.assert_array_equal(data.part(1, 3).targets[0], Y[1:3])


def test_without_targets(single):
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(2)
    for inputs in (X, dataset):
        assert check_data(single, inputs, None).targets is None


def test_several_inputs_and_outputs(double):
    named = {"second": X[:, :2], "first": X}
    data = check_data(double, named, {"b": Y, "a": -Y})
    np.testing.assert_array_equal(data.inputs[0], X)
    np.testing.assert_array_equal(data.inputs[1], X[:, :2])
    np.testing.assert_array_equal(data.targets[0], -Y)


@pytest.mark.parametrize(
    "inputs, targets, message",
    [
        (X[:, :2], None, r"must have the shape \(n_items, 3\).*received \(4, 2\)"),
        (X[:, None], None, "without time"),
        (np.where(X == 5, np.nan, X), None, "NaN or infinite"),
        (np.where(X == 5, np.inf, X), None, "NaN or infinite"),
        (X.astype(str), None, "must be numbers"),
        (X[:0], None, "at least one"),
        (3.0, None, "axis for the items"),
        ({"z": X}, None, r"has the names \['z'\]; those of the model are \['x'\]"),
        ([X, X], None, "must have the shape"),
        (X, Y[:3], "4 inputs, but 3 targets"),
        (X, {"z": Y}, "`targets` has the names"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2), Y, "contains the targets"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2).take(0), None, "empty"),
    ],
)
def test_bad_data(single, inputs, targets, message):
    with pytest.raises(ValidationError, match=message):
        check_data(single, inputs, targets)


def test_missing_arrays(double):
    with pytest.raises(ValidationError, match="must have 2 arrays"):
        check_data(double, [X], None)
    with pytest.raises(ValidationError, match=r"same number of items.*\[4, 3\]"):
        check_data(double, [X, X[:3, :2]], None)
