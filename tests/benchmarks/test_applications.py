import keras
import numpy as np
import pytest

from nengo_dl import benchmarks
from nengo_dl.benchmarks.applications import (
    COLUMNS,
    convert,
    fallbacks,
    is_verified,
    largest_error,
    make_application,
    measure_in_process,
    measure_statistics,
    peak_memory,
    reasons_of,
    table_row,
    with_average_pooling,
)
from nengo_dl.converter import Converter


def small_model():
    inp = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization(momentum=0.9)(inp)
    x = keras.layers.MaxPooling2D(2)(x)
    return keras.Model(inp, keras.layers.Flatten()(x))


def test_outputs_depend_on_images():
    """They differ between images as much as they are large."""
    model, images = make_application("MobileNet", 32, alpha=0.25, classes=5)
    assert images.shape == (2, 32, 32, 3)
    assert 0 < images.min() < 100 < 155 < images.max() < 255
    first, second = model(images, training=False).numpy()
    assert np.abs(first - second).max() > 0.5 * np.abs(first).max()


def test_statistics(rng):
    model = small_model()
    images = rng.uniform(0, 255, (8, 4, 4, 3))
    measure_statistics(model, images)
    layer = model.layers[1]
    np.testing.assert_allclose(
        layer.moving_mean.numpy(), images.mean(axis=(0, 1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), images.var(axis=(0, 1, 2)), rtol=1e-4
    )
    assert layer.momentum == 0.9


def test_average_pooling(rng):
    model = small_model()
    images = rng.uniform(-1, 1, (2, 4, 4, 3))
    measure_statistics(model, images)
    normalized = keras.Model(model.input, model.layers[1].output)(images).numpy()
    expected = normalized.reshape((2, 2, 2, 2, 2, 3)).mean(axis=(2, 4))
    copy = with_average_pooling(model)
    np.testing.assert_allclose(
        copy(images).numpy(), expected.reshape((2, -1)), atol=1e-6
    )
    assert with_average_pooling(copy) is copy


def test_largest_error():
    expected = np.array([[100.0, 7.0], [104.0, 7.0]])
    assert largest_error(expected, expected) == 0
    assert largest_error(expected + [[0, 0.5], [0, 0]], expected) == 0.25


def test_verified(rng):
    """Against averages, where the network has averages in place of maxima."""
    images = rng.uniform(-1, 1, (2, 4, 4, 3))
    assert is_verified(convert(small_model()), images, atol=1e-5)

    inp = keras.Input((3,))
    converter = convert(keras.Model(inp, keras.layers.Dense(2, use_bias=False)(inp)))
    (conn,) = converter.net.connections
    conn.transform = conn.transform.init + [[0, 0, 0], [0, 0, 0.1]]
    x = np.ones((1, 3))
    assert is_verified(converter, x, atol=0.11)
    assert not is_verified(converter, x, atol=0.09)


def test_fallbacks():
    inp = keras.Input((3,))
    x = keras.layers.Multiply()([inp, inp])
    x = keras.layers.Multiply()([x, inp])
    x = keras.layers.Activation("softmax")(keras.layers.ReLU()(x))
    with pytest.warns(UserWarning, match="Falling back"):
        converter = Converter(keras.Model(inp, x))
    first, second = fallbacks(converter)
    assert first.startswith("2 Multiply: ")
    assert second.startswith("1 Activation: no neuron type computes")


def test_table_rows():
    figures = dict.fromkeys(("convert", "build", "first_run", "next_run"), 1.25)
    figures |= {"weights": 3_540_000, "memory": 1120.0, "error": 3e-5}
    figures["verified"] = False
    figures["fallbacks"] = ["9 Multiply: it multiplies", "2 Lambda: unknown"]
    row = table_row("VGG16", 32, figures)
    assert row[:3] == ["VGG16", "32", "3.5 M"]
    assert row[-4:] == ["1.1 GB", "3.0e-05", "no", "9 Multiply, 2 Lambda"]
    assert table_row("VGG16", 32, {**figures, "fallbacks": []})[-1] == "–"
    failed = table_row("VGG16", 32, {"failed": "took longer than 1 s"})
    assert failed[-1] == "took longer than 1 s"
    assert len(row) == len(failed) == len(COLUMNS)


def test_reasons():
    first = {"fallbacks": ["9 Multiply: it multiplies", "2 Lambda: unknown"]}
    second = {"fallbacks": ["1 Multiply: it multiplies"]}
    assert reasons_of([first, second, {"failed": "something"}]) == [
        "Multiply: it multiplies",
        "Lambda: unknown",
    ]


def test_memory():
    assert 50 < peak_memory() < 1e6


def test_names_are_checked(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["applications", "VGG15"])
    assert "VGG15" in capsys.readouterr().err


def test_failures_are_reported():
    figures = measure_in_process("MobileNet", 32, timeout=0.1)
    assert figures == {"failed": "took longer than 0.1 s"}
