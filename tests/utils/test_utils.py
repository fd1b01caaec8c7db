import contextlib
import io
import time

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError
from nengo.rc import rc
from nengo.utils.progress import NoProgressBar
from nengo.utils.progress import ProgressBar as NengoBar

from nengo_dl import utils
from nengo_dl.utils import (
    ErrorBox,
    MessageBar,
    NengoProgressBar,
    NullProgressBar,
    ProgressBar,
    align_func,
    fit_output,
    function_name,
    note_origin,
    numpy_function,
    progress,
    progress_bar_for,
    sanitize_name,
)


class CallableObject:
    def __call__(self, x):
        return x


def test_sanitize_name():
    assert sanitize_name(0) == "0"
    assert sanitize_name(None) == "None"
    assert sanitize_name("a b") == "a_b"
    assert sanitize_name("a:b") == "a_b"
    assert sanitize_name(r"Aa0.-/\,?^&*") == "Aa0.-/"


def test_function_name():
    assert function_name(test_sanitize_name) == "test_sanitize_name"
    assert function_name(CallableObject()) == "CallableObject"
    assert function_name(lambda x: x) == "lambda"
    assert function_name(lambda x: x, sanitize=False) == "<lambda>"


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
        ("a", "cannot be cast"),
        ([[1], [2, 3]], "cannot be cast"),
    ],
)
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


def test_tf_gpu_installed():
    assert utils.tf_gpu_installed == bool(tf.config.list_physical_devices("GPU"))
    with pytest.raises(AttributeError, match="nothing"):
        utils.nothing  # noqa: B018


def test_progress_bar(capsys):
    bar = ProgressBar("Working", "Work", max_value=10)
    assert bar.max_value == bar.max_steps == 10

    with bar:
        sub_bar = bar.sub("on the first part")
        with sub_bar:
            sub_bar.step()
        assert sub_bar.finished
        assert not bar.finished

        sub_bar = bar.sub("on the second part", max_value=None).start()
        sub_bar.step()
        sub_bar2 = bar.sub().start()
        assert sub_bar.finished
        assert not sub_bar2.finished
        bar.step(3)
        assert bar.value == 3
    assert sub_bar2.finished
    assert bar.finished

    output = capsys.readouterr()
    assert "Working" in output.out
    assert "Work finished" in output.out
    assert output.err == ""


def test_progress_bar_on_iterables(capsys):
    bar = ProgressBar(max_value=10)
    assert list(bar(range(15))) == list(range(15))
    assert bar.value == 10
    assert bar.finished


def test_progress_bar_in_nengo(capsys):
    with nengo.Network() as net:
        nengo.Ensemble(10, 1)

    with ProgressBar("Building", "Build") as bar:
        nengo.builder.Model().build(net, progress=bar)
    assert bar.max_steps == 2
    assert bar.value == 2
    assert "Build finished 100%" in capsys.readouterr().out


def test_progress_bar_follows_stdout():
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout), ProgressBar("Working"):
        pass
    assert "Working" in stdout.getvalue()


def test_progress_bar_refreshes(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(progress, "REFRESH_INTERVAL", 0.01)
    stdout = Terminal()
    with contextlib.redirect_stdout(stdout), ProgressBar("Working"):
        time.sleep(0.2)
        assert stdout.getvalue().count("Working") > 3


def test_message_bar(capsys):
    with MessageBar("Thinking") as bar:
        bar.step()
    assert bar.max_value is None
    assert "Thinking" in capsys.readouterr().out


def test_null_progress_bar(capsys):
    with NullProgressBar(max_value=2) as bar:
        assert bar.sub("part") is bar
        bar.step()
        bar.step()
        bar.step()
    bar.max_steps = 3
    assert bar.max_value == 3
    assert bar.value == 2
    assert list(bar(range(3))) == [0, 1, 2]
    assert capsys.readouterr().out == ""


class RecordingBar(NengoBar):
    def __init__(self):
        self.steps = []
        self.closed = False

    def update(self, progress):
        assert not self.closed
        self.steps.append((progress.name_during, progress.n_steps, progress.finished))

    def close(self):
        self.closed = True


def test_nengo_progress_bar():
    nengo_bar = RecordingBar()
    with NengoProgressBar(nengo_bar, "Working", max_value=3) as bar:
        with bar.sub("part") as sub_bar:
            sub_bar.step()
        bar.step(2)
        bar.start()
    bar.finish()
    assert nengo_bar.closed
    assert nengo_bar.steps == [
        ("Working", 0, False),
        ("Working", 2, False),
        ("Working", 3, True),
    ]


def test_nengo_progress_bar_in_stages():
    nengo_bar = RecordingBar()
    with progress_bar_for(nengo_bar, "Building", max_value=None, last=False) as bar:
        bar.max_steps = 2
        bar.step(2)
    assert not nengo_bar.closed
    with progress_bar_for(nengo_bar, "Optimizing") as bar:
        bar.step()
    assert nengo_bar.closed
    assert [name for name, *_ in nengo_bar.steps] == 3 * ["Building"] + 3 * [
        "Optimizing"
    ]


def test_progress_bar_for(monkeypatch):
    nengo_bar = RecordingBar()
    assert progress_bar_for(nengo_bar).bar is nengo_bar
    for nothing in (False, None, NoProgressBar()):
        assert type(progress_bar_for(nothing)) is NullProgressBar

    bar = progress_bar_for(True, "Working", "Work", 5)
    assert type(bar) is ProgressBar
    assert (bar.present, bar.past, bar.max_value) == ("Working", "Work", 5)

    # replacing the class replaces the bars
    monkeypatch.setattr(progress, "ProgressBar", NullProgressBar)
    assert type(progress_bar_for(True)) is NullProgressBar


@pytest.mark.parametrize(
    "setting, bar_type",
    [("auto", ProgressBar), ("True", ProgressBar), ("none", NullProgressBar)]
    + [("False", NullProgressBar)],
)
def test_progress_bars_in_the_nengorc(setting, bar_type, monkeypatch):
    monkeypatch.setitem(rc["progress"], "progress_bar", setting)
    assert type(progress_bar_for(True)) is bar_type
