"""
What the recipes of docs/distributed.rst compute is what one process computes.

The commands are those of the page. `make test-recipes` runs the sweeps, with packages
that nothing else needs.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent
RECIPES = REPOSITORY / "docs" / "recipes"

pytestmark = pytest.mark.training


def command_with(words):
    """Return the only command of the page that has certain words in it."""
    text = (REPOSITORY / "docs" / "distributed.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: bash\n\n((?:   .*\n|\n)+)", text)
    (block,) = (textwrap.dedent(block).strip() for block in blocks if words in block)
    return block


def run(command):
    """Run a command in the root of the repository, with this Python."""
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    packages = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    environment = {
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join(packages),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def load_recipe(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ):  # recipes limit threads
        spec.loader.exec_module(module)
    return module


# -- training -------------------------------------------------------------------------

STRATEGIES_WORK = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 10)


@pytest.fixture(scope="module")
def reference():
    result = load_recipe("distributed_training").train()
    assert result["losses"][-1] < 0.9 * result["losses"][0]
    return result


def assert_trains(command, n_workers, reference):
    """All workers print the result of training on one device."""
    finished = run(command)
    if not STRATEGIES_WORK:
        assert "Training on several devices needs Keras 3.10" in finished.stderr
        return
    # workers may print both objects before both ends of lines
    printed = re.sub(r"}\s*{", "}, {", finished.stdout)
    results = json.loads(f"[{printed}]")
    assert len(results) == n_workers, finished.stderr[-3000:]
    for result in results:
        for name, value in reference.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-5, err_msg=name)


def test_two_devices(reference):
    assert_trains(command_with("--devices"), 1, reference)


def test_two_workers(reference):
    command = command_with("--workers")
    for port, free in zip(("12345", "12346"), free_ports(2)):
        assert port in command
        command = command.replace(port, str(free))
    assert_trains(command, 2, reference)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


# -- sweeps ---------------------------------------------------------------------------


def results_of(command, tmp_path):
    """Return the rows of the table that a command writes."""
    path = tmp_path / "results.csv"
    finished = run(f"{command} --results {path}")
    assert finished.returncode == 0, finished.stderr[-3000:]
    with open(path, newline="") as file:
        return [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


@pytest.mark.once
@pytest.mark.parametrize("package", ["joblib", "ray"])
def test_sweep(package, tmp_path):
    pytest.importorskip(package, reason=f"{package} is not installed")
    command = command_with(f"sweep_{package}.py") + " --seeds 2 --neurons 10"
    first, second = results_of(command, tmp_path)
    assert (first["seed"], second["seed"]) == (0, 1)
    assert first["error"] != second["error"]
    expected = load_recipe("experiment").run(1, 10)
    assert second == pytest.approx(expected, rel=1e-4)


@pytest.mark.once
def test_search(tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed")
    study = f" --trials 1 --study {tmp_path / 'study.log'}"
    trials = results_of(command_with("sweep_optuna.py") + study, tmp_path)
    assert len(trials) == 2
    assert trials[0] != trials[1]
    error = trials[0].pop("error")
    n_neurons = int(trials[0].pop("n_neurons"))
    expected = load_recipe("experiment").run(0, n_neurons, **trials[0])
    assert error == pytest.approx(expected["error"], rel=1e-4)
