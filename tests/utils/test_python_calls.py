import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError

from nengo_dl.utils import ErrorBox, align_func, fit_output, note_origin, numpy_function


@pytest.mark.parametrize("dtype", [tf.float32, np.float32, np.int64, "float64"])
def test_align_func(dtype):
    @align_func(dtype)
    def four(x):
        return [x] * 4

    output = four(1)
    assert isinstance(output, np.ndarray)
    assert output.shape == (4,)
    assert output.dtype == (np.float32 if dtype is tf.float32 else dtype)
    assert np.all(output == 1)


def test_align_func_copies():
    buffer = np.zeros(3)
    output = align_func("float64")(lambda: buffer)()
    buffer += 1
    assert np.all(output == 0)


@pytest.mark.parametrize(
    "output, message",
    [
        (None, "returned None"),
        (np.nan, "non-finite"),
        ([1, np.inf], "non-finite"),
        (np.array([0, -np.inf]), "non-finite"),
        (np.float64(1e300), "too large for float32 .*float64"),
        ([1, 10**39], "too large for float32"),
        (np.array([None]), "objects, not numbers .*numbers only"),
        ([1.0, None], "objects, not numbers"),
        (10**400, "cannot be cast"),
        ("a", "cannot be cast"),
        ([[1], [2, 3]], "cannot be cast"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_align_func_errors(output, message):
    def func_with_a_name():
        return output

    with pytest.raises(SimulationError, match=f"`func_with_a_name` .*{message}"):
        align_func("float32")(func_with_a_name)()


def add_one(x):
    x += 1
    return x


def test_fit_output():
    assert (fit_output(np.arange(3), 3, "f") == [0, 1, 2]).all()
    assert fit_output(np.zeros((1, 3)), 3, "f").shape == (3,)
    assert (fit_output(np.array(2), 3, "f") == [2, 2, 2]).all()
    for value in ([], [0, 1], np.zeros((2, 3))):
        with pytest.raises(SimulationError, match="`f` returned .* it must return 3"):
            fit_output(np.array(value), 3, "f")


@pytest.mark.parametrize("shape", [(10,), (), (2000,)])
@pytest.mark.parametrize("compiled", [True, False])
def test_numpy_function_copies_inputs(shape, compiled):
    def call(x):
        y = numpy_function(add_one, [x], tf.float32)
        # the input is looked at after the function has run
        with tf.control_dependencies([y]):
            return tf.identity(x), y

    x = tf.ones(shape)
    x_after, y = (tf.function(call) if compiled else call)(x)
    assert np.all(x == 1)
    assert np.all(x_after == 1)
    assert np.all(y == 2)


def test_numpy_function_copies_outputs():
    # TensorFlow takes over the memory of arrays that are aligned like this one
    memory = np.zeros(1024 + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    buffer = memory[start : start + 1024].view(np.float32)

    y = numpy_function(lambda: buffer, [], tf.float32)
    z, _ = numpy_function(lambda: [buffer, buffer], [], [tf.float32, tf.float32])
    buffer += 1
    assert np.all(y == 0)
    assert np.all(z == 0)


class UserError(Exception):
    pass


def raise_error(x):
    raise UserError("from the function")


@pytest.mark.parametrize("compiled", [True, False])
def test_error_box(compiled):
    box = ErrorBox()

    def call(x):
        return numpy_function(raise_error, [x], tf.float32, errors=box)

    if compiled:
        call = tf.function(call, autograph=False)

    for _ in range(2):
        with pytest.raises(UserError, match="from the function") as err, box.unwrap():
            call(tf.ones(3))
        assert err.traceback[-1].name == "raise_error"

    # not our business
    with pytest.raises(ZeroDivisionError), box.unwrap():
        1 / 0  # noqa: B018
    with pytest.raises(tf.errors.InvalidArgumentError), box.unwrap():
        tf.reshape(tf.ones(3), (2, 2))


def test_error_box_after_an_error_outside():
    box = ErrorBox()
    with pytest.raises(UserError):
        box.guard(raise_error)(0)
    with pytest.raises(ZeroDivisionError), box.unwrap():
        1 / 0  # noqa: B018


def test_note_origin():
    error = UserError("from the function")
    note_origin(error, "the first place")
    note_origin(error, "the second place")
    assert error.__notes__ == [
        "UserError detected in the first place",
        "UserError detected in the second place",
    ]


def test_interrupts_outside_of_functions_stay_interrupts():
    def interrupted(x):
        raise KeyboardInterrupt

    @tf.function(autograph=False)
    def step(x):
        return tf.numpy_function(interrupted, [x], tf.float32)

    with pytest.raises(KeyboardInterrupt), ErrorBox().unwrap():
        step(tf.constant(1.0))
