"""Exceptions of functions that users hand to TensorFlow."""

import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError

from nengo_dl.utils import ErrorBox
from nengo_dl.utils.tensorflow_errors import exception_in_python


class OwnError(Exception):
    """An exception that TensorFlow knows nothing of."""


@pytest.mark.parametrize(
    "error, expected, text",
    [
        (ZeroDivisionError("a: b"), ZeroDivisionError, "a: b"),
        (ValueError("two\nlines"), ValueError, "two\nlines"),
        (NotImplementedError(), NotImplementedError, ""),
        (OwnError("own", 3), SimulationError, "OwnError: ('own', 3)"),
        (SimulationError("ours"), SimulationError, "ours"),
        (
            UnicodeEncodeError("utf", "", 0, 1, "?"),
            SimulationError,
            "UnicodeEncodeError: 'utf' codec can't encode characters in position "
            "0-0: ?",
        ),
    ],
)
@pytest.mark.parametrize("function", [tf.py_function, tf.numpy_function])
def test_exceptions(function, error, expected, text):
    def fail(x):
        raise error

    traced = tf.function(lambda x: function(fail, [x], tf.float32), autograph=False)
    with pytest.raises(expected) as caught, ErrorBox().unwrap():
        traced(tf.constant(1.0))
    assert str(caught.value) == text
    (note,) = getattr(caught.value, "__notes__", ["in fail"])
    assert "in fail" in note and "script_ops" not in note


def test_other_errors():
    """What TensorFlow itself says stays as it is."""
    assert exception_in_python(ValueError("a")) is None
    with pytest.raises(tf.errors.InvalidArgumentError) as caught, ErrorBox().unwrap():
        tf.gather(tf.zeros(2), 3)
    assert exception_in_python(caught.value) is None
