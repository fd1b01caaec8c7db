"""The notebooks of the manual run, cell by cell, and show what they say."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import nengo
import numpy as np
import pytest
import tensorflow as tf

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LARGEST_FILE = 300_000  # bytes
LONGEST_TIME = 120  # seconds of a processor: a minute on two of them


# Notebooks that MNIST fits, and the name of their images.
WITH_MNIST = {
    "from-tensorflow": "train_images",
    "keras-to-snn": "train_images",
    "lmu": "train_x",
    "spiking-digits": "train_images",
    "tensorflow-models": "train_images",
}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path, cell_type):
    """Return the cells of one type, with their numbers."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(i, cell) for i, cell in enumerate(cells) if cell["cell_type"] == cell_type]


def text_of(lines):
    """Return a text, which notebooks have as it is or as a list of lines."""
    return "".join(lines)


def stored_text(cell):
    """Return what the cell printed when the notebook was made."""
    return "".join(
        text_of(output["text"]) for output in cell["outputs"] if is_print(output)
    )


def is_print(output):
    return output["output_type"] == "stream" and output["name"] == "stdout"


def words_of(text):
    """Return the lines without numbers, which differ between machines, sorted."""
    text = re.sub(r"[-+]?\d+\.?\d*(e[-+]\d+)?", " # ", text)
    return sorted(" ".join(line.split()) for line in text.splitlines())


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Return a function that runs a notebook, and returns what it has defined."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(nengo.rc["progress"], "progress_bar", "none")
    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))

    def run_cells(path):
        namespace = {"__name__": "__main__"}
        capfd.readouterr()
        for i, cell in cells_of(path, "code"):
            code = compile(text_of(cell["source"]), f"{path.name}, cell {i}", "exec")
            exec(code, namespace)
            printed = capfd.readouterr().out
            assert words_of(printed) == words_of(stored_text(cell)), printed
        return namespace

    with plt.rc_context():
        yield run_cells
    plt.close("all")


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


# -- the files ------------------------------------------------------------------------


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_words():
    assert words_of("loss 1.5e-03\n[[-0.  1. ]\n") == words_of("loss 2\n[[0.25 12]")
    assert words_of("a 1") != words_of("b 1")
    assert words_of("a\n1") != words_of("a")


@each_notebook
def test_file(path):
    assert path.stat().st_size < LARGEST_FILE
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    first = notebook["cells"][0]
    assert first["cell_type"] == "markdown"
    assert text_of(first["source"]).startswith("# ")


@each_notebook
def test_stored_outputs(path):
    """They are there, and say nothing of the machine that they were made on."""
    outputs = [o for _, cell in cells_of(path, "code") for o in cell["outputs"]]
    assert "error" not in {output["output_type"] for output in outputs}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any(is_print(output) for output in outputs)
    for output in outputs:
        text = text_of(output.get("text", output.get("data", {}).get("text/plain", "")))
        assert not re.search(r"(^|\s)/\w+/", text), text
        # neither progress bars nor the log of TensorFlow
        assert not re.search("Elapsed Time|WARNING:|^[EIW]0000 ", text), text


@each_notebook
def test_all_code_is_in_cells(path):
    """Markdown has none of its own, which nothing would run."""
    texts = [text_of(cell["source"]) for _, cell in cells_of(path, "markdown")]
    assert [t for t in texts if re.search(r"^( {4,}|\t|```|~~~)", t, re.M)] == []


# -- what they do ---------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_MNIST)
def test_mnist(name, monkeypatch):
    """The commented lines can take the place of those before them."""
    rng = np.random.RandomState(0)
    data = (
        rng.randint(256, size=(2000, 28, 28), dtype="uint8"),
        rng.randint(10, size=2000),
    )
    # (the first cell sets it)
    monkeypatch.setitem(nengo.rc["progress"], "progress_bar", "none")
    for mnist in (keras.datasets.mnist, tf.keras.datasets.mnist):
        monkeypatch.setattr(mnist, "load_data", lambda: (data, None))
    (_, first), *cells = cells_of(EXAMPLES / f"{name}.ipynb", "code")
    sources = [text_of(cell["source"]) for _, cell in cells]
    (source,) = (source for source in sources if "for MNIST (which" in source)
    paragraph, dots, rest = source.partition("\n\n")
    # of the paragraph, only what is commented out, and what follows
    changed = re.sub(r"(?s)^.*# for MNIST.*?:\n", "", paragraph)
    changed = re.sub(r"(?m)^# (?=\w)", "", changed)
    assert "mnist.load_data()" in changed
    namespace = {"__name__": "__main__"}
    exec(text_of(first["source"]), namespace)
    exec((changed + dots + rest).partition("inp = ")[0], namespace)
    items = namespace[WITH_MNIST[name]]
    assert 784 in (items[0].size, np.prod(items.shape[1:3]))
    assert items.min() == 0 and items.max() == 1


@pytest.mark.long
@pytest.mark.once
@pytest.mark.training
@each_notebook
def test_notebook(path, run):
    start = time.process_time()
    page = run(path)
    assert time.process_time() - start < LONGEST_TIME
    CHECKS[path.stem](page)


def check_from_nengo(page):
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
    assert Path("sin_of_square.npz").exists()
    assert rms(page["trained_in_nengo"] - page["trained_in_nengo_dl"]) < 0.005
    assert rms(page["trained_in_nengo"] - page["from_nengo"]) > 0.02

    assert page["difference"] < 1e-5


def check_from_tensorflow(page):
    # one model, twice
    np.testing.assert_allclose(
        page["nengo_before"][:, 0], page["keras_before"], atol=1e-5
    )
    assert page["nengo_loss"] == pytest.approx(page["keras_loss"], rel=0.1)
    assert page["nengo_loss"] < 0.6 * page["untrained_loss"]
    assert page["final_loss"] < 0.5 * page["nengo_loss"]
    assert page["reconstructed"].shape == (250, 784)

    # files, and frozen parameters
    assert Path("autoencoder.npz").exists()
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
    assert page["learned_factor"] == pytest.approx(3, abs=0.01)

    # a network that needs no training
    assert rms(page["square"] - page["reference_square"]) < 0.01
    times = 0.001 * np.arange(1, 1001)[:, None]
    assert rms(page["square"] - np.sin(2 * np.pi * times) ** 2) < 0.15


def check_tensorflow_models(page):
    one_image = 1.01 / len(page["test_labels"])
    assert page["keras_accuracy"] > 0.93
    assert page["node_accuracy"] == pytest.approx(page["keras_accuracy"], abs=one_image)

    # neurons collect what single looks say
    looks, neurons = page["curves"]["single looks"], page["curves"]["spiking neurons"]
    assert looks.mean() < 0.6
    assert neurons[-1] > 0.8 > 0.5 > neurons[0]

    assert page["layers_accuracy"] > 0.93
    assert page["native_accuracy"] > 0.93
    assert page["nengo_accuracy"] == pytest.approx(
        page["native_accuracy"], abs=one_image
    )
    assert page["spiking_accuracy"] > page["keras_accuracy"] - 0.05


AVERAGED = "scale 100, synapses"


def check_spiking_digits(page):
    assert page["losses"][-1] < 0.2 * page["losses"][0]
    rates = page["accuracy_of_rates"]
    assert rates > 0.93

    # what averages, higher rates, and synapses do to the accuracy
    results, curves = page["results"], page["curves"]
    assert results["output_last_accuracy"] < results["average_last_accuracy"] - 0.2
    low, high = curves["scale 100"], curves["scale 1000"]
    averaged, regularized = curves[AVERAGED], curves["the same, regularized"]
    assert low[-1] == pytest.approx(results["average_last_accuracy"], abs=0.01)
    assert low[-1] < rates - 0.03
    assert high[-1] > rates - 0.02
    assert high[9] > averaged[9] + 0.1
    assert averaged[-1] > rates - 0.03
    assert regularized[-1] > rates - 0.04

    # ... and to the number of spikes
    spikes = page["spikes"]
    assert spikes["scale 1000"] > 5 * spikes["scale 100"] > 5 * spikes[AVERAGED]
    assert spikes["the same, regularized"] < 0.7 * spikes[AVERAGED]

    assert page["accuracy_of_loaded"] == pytest.approx(averaged[-1], abs=0.01)


def check_keras_to_snn(page):
    keras_accuracy, results = page["keras_accuracy"], page["results"]
    np.testing.assert_allclose(page["from_nengo"], page["from_keras"], atol=1e-3)
    accuracies = {name: curve[-1] for name, (curve, _) in results.items()}
    spikes = {name: count for name, (_, count) in results.items()}
    assert accuracies["spikes alone"] < 0.3
    assert accuracies["scale 100"] < keras_accuracy - 0.3
    for name in ("scale 100, 10 ms", "trained, 10 ms", "calibrated"):
        assert accuracies[name] > keras_accuracy - 0.05
    assert spikes["trained, 10 ms"] < 0.5 * spikes["scale 100, 10 ms"]
    assert len(results["calibrated"][0]) < 20
    assert page["answer"].argmax() == page["test_labels"][0]


def check_lmu(page):
    remembered = page["polynomials"] @ page["memory"]
    window = page["signal"][::-1][: page["THETA"], 0]
    assert rms(remembered - window) < 0.15 * rms(window)
    assert np.all(page["before"] == 0) and np.any(page["after"] != 0)
    assert page["everything"][-1] > 0.85
    assert page["second_half"][-1] < page["everything"][-1] - 0.2


def check_spa_retrieval(page):
    ideal, accuracy = page["ideal"], page["accuracy"]
    assert ideal > 0.9
    assert accuracy(page["before"][:, -1]) < 0.6
    assert accuracy(page["after"][:, -1]) > ideal - 0.15
    difference = page["from_nengo"] - page["after"][page["question"], -1]
    assert rms(difference) < 0.05


def check_spa_memory(page):
    for name in ("memory_loss", "answer_loss"):
        losses = page["history"][name]
        assert losses[-1] < 0.8 * losses[0]
    before, after = (page["similarity"](page[w]) for w in ("before", "after"))
    assert after[page["START"]] > 0.65 > 0.5 > before[page["START"]]
    assert after[-1] > 0.5 > 0.3 > before[-1]


CHECKS = {
    "from-nengo": check_from_nengo,
    "from-tensorflow": check_from_tensorflow,
    "keras-to-snn": check_keras_to_snn,
    "lmu": check_lmu,
    "spa-memory": check_spa_memory,
    "spa-retrieval": check_spa_retrieval,
    "spiking-digits": check_spiking_digits,
    "tensorflow-models": check_tensorflow_models,
}
