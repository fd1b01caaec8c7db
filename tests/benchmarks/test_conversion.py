import json
from dataclasses import asdict

import numpy as np
import pytest

from nengo_dl import benchmarks
from nengo_dl.benchmarks import conversion
from nengo_dl.benchmarks.conversion_runs import Outcome, Setting
from nengo_dl.benchmarks.image_models import Images, load_images, residual


@pytest.mark.training
def test_command(monkeypatch, tmp_path, capsys):
    settings = [
        Setting("±1 spike", 4, spike_budget=0.4),
        Setting("Nengo's", 4, scale=5000),
    ]
    monkeypatch.setitem(conversion.SETTINGS, "budgets", settings)
    figures, picture = tmp_path / "figures.json", tmp_path / "figure.png"
    command = "conversion --settings budgets --steps 4 --epochs 1 --seeds 1"
    command += " --calibration-images 60 --test-images 50"
    command += f" --json {figures} --figure {picture}"

    with pytest.raises(SystemExit) as info:
        benchmarks.main(command.split())

    assert info.value.code == 0
    printed = capsys.readouterr().out
    assert "50 images, accuracy in Keras" in printed
    assert "budget 0.4" in printed and "scale 5000" in printed
    calibrated, other = json.loads(figures.read_text())
    assert calibrated["n_steps"] == 4 and calibrated["most_spikes"] == 1
    assert 0.2 < calibrated["spikes"] < 0.6
    assert len(calibrated["error_ratios"]) == 2
    assert np.allclose(calibrated["error_ratios"], 1, atol=0.25)
    assert other["most_spikes"] > 1 and other["error_ratios"] == []
    for outcome in (calibrated, other):
        # an image more or less is right if it is in another class than in Keras
        assert abs(outcome["loss"]) <= 100 * (1 - outcome["agreement"]) + 1e-6
        assert outcome["agreement"] > 0.7
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [asdict(x) for x in conversion.read_outcomes(figures)] == [
        {**record, "error_ratios": tuple(record["error_ratios"])}
        for record in (calibrated, other)
    ]


def test_table():
    setting = Setting("several", None, "ltb", correction="none")
    outcomes = [
        Outcome(setting, 0, 2, 0.5, 0.99, 0.6, 3, (1.1, 0.9)),
        Outcome(setting, 1, 4, 0.1, 0.97, 0.8, 5, (1.0, 1.2)),
    ]
    (found,) = conversion.by_setting(outcomes)
    assert conversion.row(found) == [
        "several",
        "ltb, none",
        "2, 4",
        "0.30 (0.50)",
        "98.00",
        "0.250",
        "0.70",
        "5",
        "0.90 … 1.20",
    ]


def test_images(tmp_path):
    train, test = load_images(None)
    assert train.pixels.shape == (1437, 8, 8, 1) and len(test.labels) == 360
    assert train.pixels.max() == 1

    path = tmp_path / "images.npz"
    pixels = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    np.savez(path, images=pixels, labels=np.arange(5))
    train, test = load_images(str(path))
    assert isinstance(test, Images) and list(test.labels) == [4]
    assert np.allclose(test.pixels, pixels[4:, ..., None] / 255)


def test_residual_network():
    model = residual((8, 8, 1))
    kernels = [w for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 20 + 2  # two shortcuts change the number of channels
    assert model.output_shape == (None, 10)
