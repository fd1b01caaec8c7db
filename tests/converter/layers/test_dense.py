"""Tests of Dense and EinsumDense layers."""

import keras
import nengo
import pytest
from converter.comparing import check, convert
from converter.layers.spatial_layers import branches, check_branches, n_trainable

from nengo_dl.converter.layers.dense import dense_outputs

L = keras.layers


def test_dense():
    layers = [L.Dense(3, "relu"), L.Dense(2), L.Dense(2, "tanh", use_bias=False)]
    converter = check_branches((5,), layers)
    assert n_trainable(converter) == converter.model.count_params()
    weights = [conn.transform for conn in converter.net.all_connections]
    assert all(isinstance(transform, nengo.Dense) for transform in weights)


def test_more_axes():
    layers = [
        L.Dense(3, "relu"),
        L.Dense(2, use_bias=False),
        L.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de"),
        L.EinsumDense("abc,bcd->ad", 2, activation="sigmoid", bias_axes="d"),
        L.EinsumDense("...x,xy->...y", (2,)),
    ]
    converter = check_branches((4, 5), layers)
    assert n_trainable(converter) == converter.model.count_params()


def test_layers_that_are_not_trained():
    layers = [L.Dense(3, "relu"), L.Dense(2), L.Dense(2, "relu", trainable=False)]
    model = branches((5,), layers)
    for layer in layers[:2]:
        layer.trainable = False
    assert n_trainable(check(model)) == 0
    model = branches((4, 5), [L.Dense(3, "relu", trainable=False)])
    assert n_trainable(check(model)) == 0


def test_scaled_firing_rates():
    layers = [L.Dense(3, "relu")]
    check_branches((5,), layers, scale_firing_rates=5)
    converter = check_branches((4, 5), [L.Dense(3, "relu")], scale_firing_rates=5)
    (ensemble,) = converter.net.all_ensembles
    assert ensemble.gain == nengo.dists.Choice([5])


def test_dense_outputs():
    assert dense_outputs("ab,bc->ac") == "c"
    assert dense_outputs("abc,cd->abd") == "d"
    assert dense_outputs("abcd,cde->abe") == "e"
    assert dense_outputs("...x,xyz->...yz") == "yz"
    for other in (
        "abc,cd->adb",  # the new axis is not the last one
        "abc,bd->acd",  # the summed axis is not the last one
        "abc,bcd->abd",  # a kernel for every position
        "ab,bb->ab",
        "ab,bc->ab",
        "ab->a",
        "",
    ):
        assert dense_outputs(other) is None


def test_einsum_that_is_not_native():
    model = branches((4, 5), [L.EinsumDense("abc,bd->acd", (5, 3))])
    with pytest.raises(TypeError, match="'abc,bd->acd' is no product of the last axes"):
        convert(model)
    layer = L.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="d")
    with pytest.raises(TypeError, match="bias_axes has value 'd' != 'de'"):
        convert(branches((4, 5), [layer]))


def test_regularizers_need_inference():
    layer = L.Dense(2, kernel_regularizer="l2", bias_constraint="non_neg")
    model = branches((3,), [layer])
    with pytest.raises(TypeError, match="kernel_regularizer.*bias_constraint has"):
        convert(model)
    check(model, inference_only=True)


@pytest.mark.skipif(
    not hasattr(L.Dense, "enable_lora"), reason="this Keras has no LoRA"
)
def test_lora_needs_inference():
    layer = L.Dense(2)
    model = branches((3,), [layer])
    layer.enable_lora(1)
    layer.lora_kernel_b.assign([[0.5, 0.25]])
    with pytest.raises(TypeError, match="lora_enabled has value True.*inference_only"):
        convert(model)
    check(model, inference_only=True)


def test_quantized_layers_are_refused():
    layer = L.Dense(2)
    model = branches((3,), [layer])
    layer.quantize("int8")
    with pytest.raises(TypeError, match=r"its weights are quantized \(int8\)"):
        convert(model)
