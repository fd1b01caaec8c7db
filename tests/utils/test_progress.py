import contextlib
import io
import sys
import time

import nengo
import pytest
from nengo.exceptions import ValidationError
from nengo.rc import rc
from nengo.utils.progress import NoProgressBar
from nengo.utils.progress import ProgressBar as NengoBar

from nengo_dl.utils import (
    MessageBar,
    NengoProgressBar,
    NullProgressBar,
    ProgressBar,
    progress,
    progress_bar_for,
)


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


class OnlyWrites:
    text = ""

    def write(self, text):
        self.text += text


class BrokenTerminal:
    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError

    def isatty(self):
        return True


closed = io.StringIO()
closed.close()


@pytest.mark.parametrize(
    "stream", [None, object(), OnlyWrites(), BrokenTerminal(), closed, io.BytesIO()]
)
def test_streams_that_are_no_terminals(stream, monkeypatch):
    """There may be anything in place of the standard output."""
    monkeypatch.setattr(sys, "stdout", stream)
    with ProgressBar("Working", max_value=2) as bar:
        bar.step()
        bar.show("part")
    assert bar.finished
    if isinstance(stream, OnlyWrites):
        assert "Working" in stream.text


def test_stream_without_unicode(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with ProgressBar("Wörking"):
        pass
    stream.flush()
    assert b"W?rking" in stream.buffer.getvalue()


def test_progress_bar_refreshes(monkeypatch):
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


@pytest.mark.parametrize("value", ["yes", 1, object(), ProgressBar])
def test_no_progress_bars(value):
    with pytest.raises(ValidationError, match="progress_bar: must be True, False"):
        progress_bar_for(value)


@pytest.mark.parametrize(
    "setting, bar_type",
    [("auto", ProgressBar), ("True", ProgressBar), ("none", NullProgressBar)]
    + [("False", NullProgressBar)],
)
def test_progress_bars_in_the_nengorc(setting, bar_type, monkeypatch):
    monkeypatch.setitem(rc["progress"], "progress_bar", setting)
    assert type(progress_bar_for(True)) is bar_type
