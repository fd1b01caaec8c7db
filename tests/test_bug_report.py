"""The text for bug reports."""

import runpy
import sys
from importlib import metadata

import nengo
import pytest

import nengo_dl
from nengo_dl import __main__ as bug_report


def test_command(capsys, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_SECRET", "hidden")
    monkeypatch.delitem(sys.modules, "nengo_dl.__main__")
    runpy.run_module("nengo_dl", run_name="__main__")
    printed = capsys.readouterr().out
    assert f"NengoDL {nengo_dl.__version__}\n" in printed
    assert f"nengo        {nengo.__version__}\n" in printed
    assert f"tensorflow   {metadata.version('tensorflow')}\n" in printed
    assert "  /cpu:0  XLA compiles\n" in printed
    assert "  TF_ENABLE_ONEDNN_OPTS=0\n" in printed
    assert "hidden" not in printed
    assert "Known problems of these versions:\n  " in printed


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setattr(bug_report, "PACKAGES", ("nengo", "no-such-package"))
    assert list(bug_report.installed()) == ["nengo"]


def test_error_of_tensorflow(monkeypatch):
    """What cannot be imported is the bug to report."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "  ModuleNotFoundError: import of tensorflow" in bug_report.report()


@pytest.mark.parametrize(
    "versions, expected",
    [
        ({"numpy": "2.3.9", "nengo": "4.1.0", "keras": "3.10.0"}, []),
        ({"numpy": "2.4.0rc1", "nengo": "4.1.0"}, ["numpy<2.4"]),
        ({"numpy": "2.10", "nengo": "4.2.0"}, []),
        ({"numpy": "2.0", "nengo-loihi": "1.1.0"}, ["allow_numpy_2"]),
        ({"numpy": "1.26.4", "nengo-loihi": "1.1.0"}, []),
        ({"pytest": "9.1.0", "nengo": "4.0.0"}, ["pytest<9.1"]),
        ({"pytest": "9.0.3", "nengo": "4.0.0", "setuptools": "81.9"}, []),
        (
            {"pytest": "10.0", "setuptools": "82.0.1", "nengo": "4.1.0"},
            ["pytest<9.1", "setuptools<82"],
        ),
        ({"keras": "3.9.2"}, ["several devices"]),
    ],
)
def test_known_problems(versions, expected):
    problems = bug_report.known_problems(versions)
    assert len(problems) == len(expected)
    assert all(words in text for words, text in zip(expected, problems))
