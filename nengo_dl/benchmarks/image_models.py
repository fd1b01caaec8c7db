"""
Models that classify images, for the benchmark of conversion.

In: a file of images, or nothing. Out: images and labels, and trained Keras models.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

N_CLASSES = 10
BATCH_SIZE = 64
MAX_SHIFT = 2 / 28  # share of the width


class Images(NamedTuple):
    """Images, ``(n_images, height, width, 1)`` between 0 and 1, and their classes."""

    pixels: np.ndarray
    labels: np.ndarray


def load_images(path: str | None) -> tuple[Images, Images]:
    """
    Load images to train and calibrate with, and others for tests.

    Parameters
    ----------
    path : str or None
        An NPZ file with ``images``, ``(n_images, height, width)`` between 0 and 255,
        and ``labels``. By default, the handwritten digits of scikit-learn.

    Returns
    -------
    train, test : Images
        The last fifth is for tests.
    """
    if path is None:
        datasets: Any = import_module("sklearn.datasets")
        digits = datasets.load_digits()
        pixels, labels = digits.images / 16, digits.target
    else:
        with np.load(path) as arrays:
            pixels, labels = arrays["images"] / 255, arrays["labels"]
    images = Images(pixels[..., None].astype(np.float32), labels.astype(np.int64))
    n_train = len(pixels) * 4 // 5
    return (
        Images(*(values[:n_train] for values in images)),
        Images(*(values[n_train:] for values in images)),
    )


def convolutional(shape: tuple[int, ...]) -> keras.Model:
    """Make a network of two convolutions with 64 and 32 channels, and a readout."""
    image = x = keras.Input(shape)
    for n_channels in (64, 32):
        x = layers.Conv2D(n_channels, 3, 2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Dense(N_CLASSES)(layers.Flatten()(x)))


def residual(shape: tuple[int, ...]) -> keras.Model:
    """
    Make a residual network of 20 layers with weights, with 8, 16 and 32 channels.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S., & Sun, J. (2016). Deep residual learning for
       image recognition. CVPR.
    """
    image = keras.Input(shape)
    x = layers.ReLU()(_normalized_convolution(image, 8, 3, 1))
    for n_channels in (8, 16, 32):
        for block in range(3):
            stride = 2 if block == 0 and n_channels > 8 else 1
            y = layers.ReLU()(_normalized_convolution(x, n_channels, 3, stride))
            y = _normalized_convolution(y, n_channels, 3, 1)
            if stride > 1:
                x = _normalized_convolution(x, n_channels, 1, stride)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(N_CLASSES)(x))


def _normalized_convolution(x: Any, n_channels: int, size: int, stride: int) -> Any:
    conv = layers.Conv2D(n_channels, size, stride, padding="same", use_bias=False)
    return layers.BatchNormalization()(conv(x))


NETWORKS: dict[str, Callable[[tuple[int, ...]], keras.Model]] = {
    "conv": convolutional,
    "resnet": residual,
}


def trained_model(name: str, images: Images, epochs: int) -> keras.Model:
    """
    Make and train a network; the residual one with images that are shifted a little.

    Parameters
    ----------
    name : {"conv", "resnet"}
        Which one.
    images : Images
        To train with.
    epochs : int
        Number of epochs.

    Returns
    -------
    model : keras.Model
    """
    keras.utils.set_random_seed(0)
    shape = images.pixels.shape[1:]
    model = trained = NETWORKS[name](shape)
    if name == "resnet":
        shift = layers.RandomTranslation(MAX_SHIFT, MAX_SHIFT, fill_mode="constant")
        trained = keras.Sequential([keras.Input(shape), shift, model])
    n_batches = -(-len(images.labels) // BATCH_SIZE)
    trained.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(3e-3, n_batches * epochs)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    trained.fit(*images, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    return model


def load_or_train(path: str | None, name: str, images: Images, epochs: int) -> Any:
    """Return the model of a file if there is one, else a trained network."""
    if path is not None and Path(path).exists():
        return keras.models.load_model(path)
    model = trained_model(name, images, epochs)
    if path is not None:
        model.save(path)
    return model
