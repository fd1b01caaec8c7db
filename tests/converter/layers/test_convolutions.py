"""Tests of convolutions."""

import keras
import nengo
import numpy as np
import pytest
from converter.comparing import (
    check,
    compare,
    convert,
    outputs_in_nengo,
    outputs_in_nengo_dl,
)
from converter.layers.spatial_layers import (
    branches,
    check_branches,
    check_channels_first,
    n_trainable,
)

L = keras.layers

ignores_channels_first = pytest.mark.filterwarnings("ignore:.*channels_last=False")


def test_one_axis():
    converter = check_branches(
        (6, 4),
        [
            L.Conv1D(3, 3, padding="same", activation="relu"),
            L.Conv1D(4, 2, strides=2, groups=2, use_bias=False),
            L.Conv1D(3, 3, padding="causal", strides=2, activation="tanh"),
            L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="same"),
            L.SeparableConv1D(3, 3, depth_multiplier=2, activation="relu"),
            L.Conv1DTranspose(3, 3, strides=2, activation="relu"),
            L.Conv1DTranspose(3, 3, strides=3, padding="same", output_padding=2),
            L.Conv1DTranspose(3, 2, strides=3),
        ],
    )
    assert n_trainable(converter) == converter.model.count_params()


def test_two_axes():
    converter = check_branches(
        (6, 7, 4),
        [
            L.Conv2D(4, (3, 2), groups=2, activation="relu"),
            L.Conv2D(3, (3, 2), strides=(2, 1), padding="same"),
            L.DepthwiseConv2D((2, 3), depth_multiplier=3, activation="sigmoid"),
            L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
            L.SeparableConv2D(4, 3, strides=2, padding="same"),
            L.Conv2DTranspose(3, 3, strides=2),
            L.Conv2DTranspose(3, (3, 2), strides=(2, 1), padding="same"),
            L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1),
        ],
    )
    assert n_trainable(converter) == converter.model.count_params()


def test_three_axes():
    """Only NengoDL has convolutions along three axes."""
    converter = check_branches(
        (3, 4, 5, 2),
        [
            L.Conv3D(3, (1, 2, 3), activation="relu"),
            L.Conv3D(4, 2, padding="same", strides=2, groups=2),
            L.Conv3DTranspose(3, 2, strides=2, use_bias=False),
        ],
        native=False,
    )
    assert n_trainable(converter) == converter.model.count_params()


def test_channels_first():
    run = outputs_in_nengo
    options = {"kernel_size": 2, "activation": "relu"}
    check_channels_first(
        (4, 6),
        [
            (L.Conv1D, {"filters": 3, **options}),
            (L.SeparableConv1D, {"filters": 3, **options}),
            (L.Conv1DTranspose, {"filters": 3, **options}),
        ],
        run,
    )
    check_channels_first(
        (4, 6, 5),
        [
            (L.Conv2D, {"filters": 4, "groups": 2, "padding": "same", **options}),
            (L.DepthwiseConv2D, {"depth_multiplier": 2, **options}),
            (L.SeparableConv2D, {"filters": 3, **options}),
            (L.Conv2DTranspose, {"filters": 3, "strides": 2, **options}),
        ],
        run,
    )


@ignores_channels_first
def test_channels_first_in_nengo_dl():
    options = {"filters": 3, "kernel_size": 2, "activation": "relu"}
    classes = [(L.Conv2D, options), (L.Conv2DTranspose, options)]
    check_channels_first((4, 6, 5), classes, outputs_in_nengo_dl)


def dilated_layers():
    return [
        L.Conv1D(3, 3, dilation_rate=2, padding="causal"),
        L.Conv1D(3, 3, dilation_rate=2, padding="same"),
        L.Conv1D(3, 2, dilation_rate=3, activation="relu"),
        L.SeparableConv1D(3, 3, dilation_rate=2),
    ]


def test_dilation_needs_inference():
    model = branches((8, 2), dilated_layers())
    check(model, inference_only=True)
    with pytest.raises(TypeError) as error:
        convert(model)
    text = "dilation_rate has value (2,) != (1,) (unless inference_only=True)"
    assert str(error.value).count(text) == 3

    check_branches(
        (8, 7, 2),
        [
            L.Conv2D(3, 3, dilation_rate=(2, 1), padding="same"),
            L.DepthwiseConv2D(3, dilation_rate=2),
        ],
        inference_only=True,
    )


@pytest.mark.parametrize(
    "layer, name",
    [
        (L.Conv1D(2, 2, kernel_regularizer="l2"), "kernel_regularizer"),
        (L.DepthwiseConv1D(2, depthwise_constraint="non_neg"), "depthwise_constraint"),
        (L.SeparableConv1D(2, 2, pointwise_regularizer="l1"), "pointwise_regularizer"),
        (L.Conv1DTranspose(2, 2, bias_constraint="non_neg"), "bias_constraint"),
    ],
)
def test_regularizers_need_inference(layer, name):
    model = branches((4, 2), [layer])
    with pytest.raises(TypeError, match=rf"(?s){name} has .*unless inference_only=Tru"):
        convert(model)
    assert convert(model, inference_only=True)


def test_layers_that_are_not_trained():
    layer = L.SeparableConv1D(3, 2, activation="relu", trainable=False)
    assert n_trainable(check_branches((5, 2), [layer])) == 0


def test_synapses():
    """All that comes from neurons has a synapse, and nothing else."""
    inp = keras.Input((6, 2))
    x = L.SeparableConv1D(3, 2, activation="relu")(inp)
    model = keras.Model(inp, L.Conv1D(3, 2, padding="causal")(x))
    converter = convert(model, synapse=0.1)
    for conn in converter.net.all_connections:
        from_neurons = isinstance(conn.pre_obj, nengo.ensemble.Neurons)
        assert (conn.synapse is None) == (not from_neurons)


def test_scaled_firing_rates():
    """Biases of channels are scaled as gains are."""
    layers = [L.Conv1D(3, 2, activation="relu"), L.SeparableConv1D(2, 2)]
    converter = convert(branches((5, 2), layers), scale_firing_rates=5)
    assert converter.net.all_ensembles[0].gain == nengo.dists.Choice([5])
    compare(converter)


def test_fused_batch_normalization():
    inp = keras.Input((6, 6, 2))
    layers = [
        keras.layers.Conv2D(3, 2, use_bias=False),
        keras.layers.Conv2D(4, 2, strides=2, groups=2),
        keras.layers.DepthwiseConv2D(2, depth_multiplier=2),
        keras.layers.SeparableConv2D(3, 2),
        keras.layers.Conv2DTranspose(3, 2),
    ]
    outputs = [keras.layers.BatchNormalization()(layer(inp)) for layer in layers]
    model = keras.Model(inp, outputs)
    rng = np.random.RandomState(0)
    model.set_weights([rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    converter = convert(model, inference_only=True, fuse_batch_normalization=True)
    assert len(converter.fusions) == len(layers)
    compare(converter, rtol=1e-5, atol=1e-5)
