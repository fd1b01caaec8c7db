"""Tests of layers that are affine, and of those that do nothing in inference."""

import keras
import numpy as np
import pytest
from converter.comparing import check, compare, convert
from nengo.exceptions import ValidationError

from nengo_dl.converter import Converter

L = keras.layers


def set_random_weights(model):
    """Gives all layers weights that are neither zero nor one."""
    rng = np.random.RandomState(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])


def batch_normalizations(**options):
    """Returns a model that normalizes over all axes."""
    inp = keras.Input((4, 3))
    relu = L.Activation("relu")(inp)
    outputs = [
        L.BatchNormalization(axis=1, **options)(inp),
        L.BatchNormalization(axis=2, **options)(relu),
        L.BatchNormalization(axis=-1, center=False, **options)(inp),
        L.BatchNormalization(scale=False, epsilon=0.1, **options)(inp),
    ]
    outputs.append(L.Dense(2)(keras.ops.reshape(outputs[0], (-1, 12))))
    model = keras.Model(inp, outputs)
    set_random_weights(model)
    return model


def test_batch_normalization():
    model = batch_normalizations()
    converter = check(model, inference_only=True)
    with pytest.raises(ValueError, match="number of trainable parameters"):
        converter.verify(training=True)
    with pytest.raises(TypeError, match="unless inference_only=True"):
        convert(model)


@pytest.mark.training
def test_batch_normalization_that_is_not_trained():
    model = batch_normalizations(trainable=False)
    assert convert(model).verify(training=True, atol=1e-6)


def test_batch_normalization_in_time():
    inp = keras.Input((None, 2, 3))
    model = keras.Model(inp, L.BatchNormalization()(inp))
    set_random_weights(model)
    check(model, n_steps=3, temporal_model=True, inference_only=True)
    inp = keras.Input((3, 2))
    model = keras.Model(inp, L.BatchNormalization(axis=1)(inp))
    with pytest.raises(TypeError, match="is that of the batch or of time"):
        convert(model, temporal_model=True, inference_only=True)


def fusible():
    """Returns a model with normalizations after Dense layers."""
    inp = keras.Input((4,))
    x = L.BatchNormalization()(L.Dense(3, use_bias=False)(inp))
    y = L.BatchNormalization(center=False)(L.Dense(3)(L.Activation("relu")(x)))
    nonlinear = L.BatchNormalization()(L.Dense(3, activation="relu")(y))
    shared = L.Dense(3)(inp)
    outputs = [L.BatchNormalization()(shared), L.BatchNormalization()(nonlinear)]
    model = keras.Model(inp, [*outputs, shared])
    set_random_weights(model)
    return model


def test_fused():
    model = fusible()
    converter = check(model, inference_only=True, fuse_batch_normalization=True)
    assert len(converter.fusions) == 2
    plain = check(model, inference_only=True)
    n_less = len(plain.net.all_connections) - len(converter.net.all_connections)
    # two factors, one bias (the other becomes that of the layer)
    assert n_less == 3
    with pytest.raises(ValidationError, match="needs `inference_only=True`"):
        Converter(model, fuse_batch_normalization=True)


def test_fused_in_nested_models():
    inp = keras.Input((4,))
    inner = keras.Model(inp, L.BatchNormalization()(L.Dense(4)(inp)))
    inp = keras.Input((4,))
    model = keras.Model(inp, inner(inner(inp)))
    set_random_weights(model)
    converter = check(
        model,
        inference_only=True,
        fuse_batch_normalization=True,
        split_shared_weights=True,
    )
    assert len(converter.fusions) == 1


def test_rescaling_and_normalization():
    a, b = keras.Input((2, 3)), keras.Input((5,))
    adapted, inverse = L.Normalization(), L.Normalization(invert=True, axis=None)
    data = np.random.RandomState(0).uniform(1, 3, (20, 2, 3))
    adapted.adapt(data)
    inverse.adapt(data)
    outputs = [
        L.Rescaling(1 / 255, 0.5)(a),
        L.Rescaling([1, 2, 3], offset=[0, 0.5, 1])(a),
        L.Rescaling(2)(L.Activation("relu")(b)),
        adapted(a),
        inverse(a),
        L.Normalization(mean=3.0, variance=2.0)(b),
    ]
    check(keras.Model([a, b], outputs))


def test_normalization_of_steps():
    inp = keras.Input((3, 2))
    layer = L.Normalization(axis=1)
    layer.adapt(np.random.RandomState(0).uniform(1, 3, (20, 3, 2)))
    with pytest.raises(TypeError, match="every step in time by other numbers"):
        convert(keras.Model(inp, layer(inp)), temporal_model=True)


def test_identity():
    inp = keras.Input((6, 6, 3))
    x = L.Dropout(0.5)(inp)
    assert convert(keras.Model(inp, x), inference_only=True).layers[x].size_in == 0
    with pytest.raises(TypeError, match="unless inference_only=True"):
        convert(keras.Model(inp, x))
    model = keras.Model(inp, L.Identity()(L.Dropout(0)(inp)))
    assert not convert(model).net.all_connections
    # models pass on their own `training`, whatever layers were called with
    model = keras.Model(inp, L.Dropout(0.5)(inp, training=True))
    check(model, inference_only=True)


def test_no_normalization_without_change():
    """Biases that are zero are left out."""
    inp = keras.Input((3,))
    model = keras.Model(inp, L.Rescaling(2)(inp))
    converter = convert(model)
    assert len(converter.net.all_connections) == 1
    compare(converter)
