import re

import numpy as np
import pytest

digits = pytest.importorskip("demo.digits")
training = pytest.importorskip("demo.training")
conversion = pytest.importorskip("demo.conversion")


def test_demo(tmp_path, capsys):
    figure = tmp_path / "figure.png"
    digits.main(["--images", "5", "--neurons", "300", "--figure", str(figure)])
    output = capsys.readouterr().out
    assert "300 spiking neurons look at 5 handwritten digits" in output
    accuracies = re.search(r"read correctly +([\d.]+) % +([\d.]+) %", output).groups()
    assert accuracies[0] == accuracies[1]
    assert float(re.search(r"by (\S+) at most", output).group(1)) < 1e-10
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_images():
    train, test = digits.load_images()
    assert len(train.labels) == digits.N_TRAIN
    assert len(test.labels) == 1797 - digits.N_TRAIN
    assert np.allclose(np.linalg.norm(test.inputs, axis=1), 1)
    seen = {pixels.tobytes() for pixels in train.pixels}
    assert not any(pixels.tobytes() in seen for pixels in test.pixels)


def test_choice_of_images():
    images = digits.Images(None, None, np.array([3, 3, 1, 7, 2]))
    outputs = np.zeros((5, 2, 10))
    outputs[np.arange(5), :, [3, 3, 1, 7, 9]] = 1
    result = digits.Result(outputs, None, 0, 0)
    assert list(result.answers()) == [3, 3, 1, 7, 9]
    assert digits.choose_images(images, result) == [0, 2, 3, 4]


@pytest.mark.long
@pytest.mark.once
@pytest.mark.training
def test_training_demo(tmp_path, capsys):
    figure = tmp_path / "figure.png"
    arguments = ["--images", "50", "--neurons", "40", "--epochs", "10"]
    training.main([*arguments, "--figure", str(figure)])
    output = capsys.readouterr().out
    assert "two layers of 40 neurons with 1500 images" in output
    accuracies = [float(value) for value in re.findall(r"([\d.]+) %", output)]
    rate, *_, spiking, frozen = accuracies
    assert len(accuracies) == 6 and rate > 85
    assert spiking > rate - 10 and frozen == spiking
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.once
@pytest.mark.training
def test_conversion_demo(tmp_path, capsys):
    figure = tmp_path / "figure.png"
    conversion.main(["--images", "2", "--epochs", "4", "--figure", str(figure)])
    output = capsys.readouterr().out
    accuracies = [float(value) for value in re.findall(r"([\d.]+) %", output)]
    assert len(accuracies) == 3 and accuracies[0] > 85
    assert np.allclose(accuracies, accuracies[0], atol=2)
    assert float(re.search(r"by (\S+) at most", output).group(1)) < 1e-10
    assert figure.read_bytes().startswith(b"\x89PNG")
