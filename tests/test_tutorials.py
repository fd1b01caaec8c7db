"""The tutorials run, cell by cell, and show what they say."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"


def cells_of(text):
    """Return the code cells of a script, each with the number of its first line."""
    starts = [match.start() for match in re.finditer("^# %%", text, re.MULTILINE)]
    return [
        (1 + text.count("\n", 0, start), text[start:end])
        for start, end in zip(starts, [*starts[1:], len(text)])
        if not text.startswith("# %% [markdown]", start)
    ]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a tutorial, and returns what it has defined."""
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)

    def run_cells(name):
        path = TUTORIALS / name
        namespace = {"__name__": "__main__"}
        for line, cell in cells_of(path.read_text(encoding="utf-8")):
            # blank lines in front, for tracebacks with the right line
            exec(compile("\n" * (line - 1) + cell, path, "exec"), namespace)
            plt.close("all")
        return namespace

    return run_cells


def test_cells():
    text = "# %% [markdown]\n# # A\n\n# %%\nx = 1\n\n# %% [markdown]\n# B\n# %%\nx += 1"
    assert cells_of(text) == [(4, "# %%\nx = 1\n\n"), (9, "# %%\nx += 1")]


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@pytest.mark.training
def test_from_nengo(run, tmp_path):
    page = run("from_nengo.py")

    # the same network in both simulators
    assert rms(page["from_nengo"] - page["from_nengo_dl"]) < 0.005
    assert page["from_nengo"].std() > 0.05

    # minibatches and state
    predicted = page["predicted"][next(p for p in page["predicted"] if p.synapse)]
    assert predicted.shape == (6, 300, 1)
    np.testing.assert_array_equal(predicted[:3], predicted[3:])
    assert page["n_steps_of_runs"] == page["n_steps_after_predict"] == 200

    # training with rates improves the network with spikes
    assert page["losses"][-1] < 0.4 * page["losses"][0]
    assert page["after"] < 0.4 * page["before"]
    targets = page["test_y"][:, -1]
    errors = [rms(page[f"outputs_{w}"][:, -1] - targets) for w in ("before", "after")]
    assert errors[1] < 0.7 * errors[0]

    # files, and frozen parameters
    assert (tmp_path / "sin_of_square.npz").exists()
    assert rms(page["trained_in_nengo"] - page["trained_in_nengo_dl"]) < 0.005
    assert rms(page["trained_in_nengo"] - page["from_nengo"]) > 0.02

    assert page["difference"] < 1e-5


@pytest.mark.training
def test_from_tensorflow(run, tmp_path, capfd):
    page = run("from_tensorflow.py")

    # one model, twice
    np.testing.assert_allclose(
        page["nengo_before"][:, 0], page["keras_before"], atol=1e-5
    )
    assert page["nengo_loss"] == pytest.approx(page["keras_loss"], rel=0.1)
    assert page["nengo_loss"] < 0.6 * page["untrained_loss"]
    assert page["final_loss"] < 0.5 * page["nengo_loss"]
    assert page["reconstructed"].shape == (250, 784)

    # files, and frozen parameters
    assert (tmp_path / "autoencoder.npz").exists()
    assert page["reset_loss"] == pytest.approx(page["untrained_loss"])
    assert page["loaded_loss"] == pytest.approx(page["final_loss"])
    np.testing.assert_allclose(
        page["from_nengo"][0], page["reconstructed"][0], atol=1e-5
    )

    # filtered spikes are filtered rates, with ripples
    rates, spikes = page["filtered_rates"], page["filtered_spikes"]
    assert rates.max() > 100
    assert rms(spikes - rates) < 15

    # Keras layers and functions
    assert page["layers_after"] < 0.8 * page["layers_before"]
    assert np.any(page["moving_mean"] != 0)
    for form in ("long", "short"):
        recorded = page[f"recorded_{form}"]
        np.testing.assert_array_equal(recorded, [[2, 4, 6]] * 3)
    np.testing.assert_allclose(page["turned"][0, 1], [0, 1], atol=1e-6)
    np.testing.assert_allclose(page["turned"][0, -1], [1, 0], atol=1e-6)
    assert "time 0.125\ntime 0.25\n" in capfd.readouterr().err
    assert page["learned_factor"] == pytest.approx(3, abs=0.01)

    # a network that needs no training
    assert rms(page["square"] - page["reference_square"]) < 0.01
    time = 0.001 * np.arange(1, 1001)[:, None]
    assert rms(page["square"] - np.sin(2 * np.pi * time) ** 2) < 0.15
