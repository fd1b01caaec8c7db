import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import nengo
import nengo.version
import numpy as np
import pytest
from nengo.utils.filter_design import expm

import nengo_dl
from nengo_dl import version


@pytest.fixture
def reload_version():
    """Reloads the version module, and once more after the test."""
    yield lambda: importlib.reload(version)
    importlib.reload(version)


def test_version_is_consistent():
    numbers = ".".join(str(number) for number in version.version_info)
    suffix = "" if version.dev is None else f".dev{version.dev}"
    assert version.version == numbers + suffix
    assert nengo_dl.__version__ == version.version
    assert version.name == "nengo-dl"


def test_supported_nengo(reload_version, monkeypatch):
    for supported in (version.minimum_nengo_version, version.latest_nengo_version):
        monkeypatch.setattr(nengo.version, "version_info", supported)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reload_version()


def test_newer_nengo_warns(reload_version, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(nengo.version, "version_info", (99, 0, 0))
        with pytest.warns(UserWarning, match=r"This version.*has not been tested"):
            reload_version()


def test_older_nengo_is_an_error(reload_version, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(nengo.version, "version_info", (3, 2, 0))
        with pytest.raises(ValueError, match="needs Nengo >= 4.0.0"):
            reload_version()


def test_nengo_needs_an_older_numpy():
    """
    The upper bound of NumPy has a reason: what Nengo does here is an error in 2.4.

    If this fails, Nengo has been mended. Then the bound in pyproject.toml can go, along
    with this test, once the Nengo that is installed here is the oldest supported one.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nengo.Lowpass(0.1).filt(np.ones(3))
        expm(np.eye(256))
    messages = "".join(str(warning.message) for warning in caught)
    assert "array with ndim > 0 to a scalar is deprecated" in messages or (
        "`in1d` is deprecated" in messages
    )
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert '"numpy>=1.26,<2.4",' in project.read_text()


def test_without_nengo(reload_version, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "nengo", None)
        patch.setitem(sys.modules, "nengo.version", None)
        reload_version()


def test_import_leaves_tensorflow_and_the_environment_alone():
    code = """
import os, sys
before = dict(os.environ)
import nengo_dl
assert "tensorflow" not in sys.modules
assert os.environ == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", nengo_dl.__all__)
def test_public_names(name):
    assert getattr(nengo_dl, name) is not None
    assert name in dir(nengo_dl)


def test_modules_need_no_import():
    code = """
import nengo_dl
for name in (
    "builder", "callbacks", "config", "dists", "graph_optimizer",
    "learning_rule_builders", "losses", "neuron_builders", "neurons", "op_builders",
    "process_builders", "signals", "simulator", "tensor_graph", "tensor_node",
    "transform_builders", "utils", "version",
):
    assert getattr(nengo_dl, name).__name__ == f"nengo_dl.{name}"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute `nothing`"):
        nengo_dl.nothing  # noqa: B018
