import pytest
import tensorflow as tf
from nengo.exceptions import SimulatorClosed

from nengo_dl.utils import require_open, xla_compiles


class Door:
    def __init__(self, closed):
        self.closed = closed

    @require_open
    def enter(self, name, times=1):
        """Walk through."""
        return [name] * times


def test_require_open():
    assert Door(closed=False).enter("a", times=2) == ["a", "a"]
    with pytest.raises(SimulatorClosed, match="Cannot call enter: .* is closed"):
        Door(closed=True).enter("a")
    assert Door.enter.__doc__ == "Walk through."


@pytest.mark.parametrize(
    "function, expected",
    [
        (lambda x: tf.sin(x), True),
        (lambda x: tf.py_function(tf.sin, [x], tf.float32), False),
    ],
    ids=["TensorFlow", "Python"],
)
def test_xla_compiles(function, expected):
    compiled = tf.function(function, jit_compile=True)
    assert xla_compiles(compiled, [tf.TensorSpec((2,), tf.float32)]) is expected
