"""Tests of layers that are kept as they are, in TensorNodes."""

import keras
import numpy as np
import pytest
from converter.comparing import compare, convert, n_parameters, random_inputs

import nengo_dl
from nengo_dl.converter import Converter
from nengo_dl.tensor_node import TensorNode

L = keras.layers


@keras.saving.register_keras_serializable("nengo_dl_tests")
class Scale(L.Layer):
    """Multiplies with one weight, which is made when the layer is first called."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


class Uncopyable(Scale):
    """A layer with an argument that Keras cannot store."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x * self.factor)


class Parts(L.Layer):
    """Takes two tensors and an option, and returns a dictionary."""

    def call(self, x, other=None, minus=False):
        y = x - other if minus else x + other
        return {"sum": keras.ops.sum(y, -1, keepdims=True), "all": y}


class Subclassed(keras.Model):
    """A model whose calls nobody knows."""

    def __init__(self):
        super().__init__()
        self.first = L.Dense(3, activation="relu")
        self.second = Scale()

    def call(self, x):
        return self.second(self.first(x))


def various_calls():
    """Returns a model that calls layers in all ways in which a TensorNode can."""
    a, b = keras.Input((4, 2), name="a"), keras.Input((4, 2), name="b")
    index = keras.Input((3,), dtype="int32", name="index")
    scale, uncopyable = Scale(), Uncopyable(keras.ops.square)
    shared = L.Dense(2, kernel_regularizer="l2")
    parts = Parts()(a, other=b, minus=True)
    normalized = L.LayerNormalization()(a)
    outputs = [
        scale(scale(scale(a))),
        uncopyable(b),
        Subclassed()(shared(a)),
        shared(b),
        parts["sum"],
        parts["all"],
        L.MultiHeadAttention(2, 2)(a, b),
        L.Dot(axes=-1)([a, b]),
        L.LSTM(3)(a),
        L.GRU(3, return_state=True)(b, initial_state=L.LSTM(3)(normalized))[1],
        L.Embedding(5, 2)(index),
        L.Dropout(0.5)(a),
        keras.ops.argmax(a, axis=-1),
        keras.ops.cumsum(a, axis=1) ** 2,
        a * b,
        L.Lambda(lambda x: keras.ops.flip(x, 1))(normalized),
    ]
    return keras.Model([a, b, index], outputs)


def test_calls():
    model = various_calls()
    converter = convert(model, native=False)
    kinds = {d.layer.name: d.kind for d in converter.decisions.values()}
    assert set(kinds.values()) == {"fallback"}
    arrays = random_inputs(model)
    arrays[2] = np.array([[0, 4, 2], [1, 3, 3]], np.int32)
    compare(converter, arrays, native=False)


def test_weights_are_copied_once():
    inp = keras.Input((2,))
    scale = Scale()
    model = keras.Model(inp, scale(scale(keras.ops.add(scale(inp), scale(inp)))))
    with pytest.warns(UserWarning, match="Falling back to TensorNode"):
        converter = Converter(model)
    nodes = [n for n in converter.net.all_nodes if isinstance(n, TensorNode)]
    nodes = [node for node in nodes if isinstance(node.tensor_func, Scale)]
    assert len(nodes) == 4
    assert len({id(node.tensor_func) for node in nodes}) == 1
    assert nodes[0].tensor_func is not scale
    with nengo_dl.Simulator(converter.net, progress_bar=False) as sim:
        (weight,) = sim.keras_model.trainable_weights
        assert weight.shape == ()
        weight.assign(2.0)
    assert scale.factor.numpy() == 1


@pytest.mark.training
def test_training():
    inp, other = keras.Input((3,)), keras.Input((3,))
    scale = Scale()
    frozen = L.LayerNormalization(trainable=False)
    parts = Parts()(scale(inp), other=frozen(other))
    dense = L.Dense(2, kernel_regularizer="l2")
    model = keras.Model([inp, other], [scale(dense(inp)), parts["sum"]])
    converter = convert(model, native=False)
    assert n_parameters(model.trainable_weights) == 9
    assert converter.verify(training=True, atol=1e-6)


def test_layers_that_act_in_training():
    inp = keras.Input((40,))
    outputs = [L.Dropout(0.5)(inp), L.Dropout(0.5)(inp, training=True)]
    converter = convert(keras.Model(inp, outputs), native=False)
    compare(converter, native=False)
    with nengo_dl.Simulator(converter.net, progress_bar=False) as sim:
        x = np.ones((1, 1, 40))
        trained = sim.keras_model([x, np.ones((1, 1))], training=True)
    values = [np.ravel(v) for v in trained if np.size(v) == 40]
    assert [sorted(set(value)) for value in values] == [[0, 2]] * 2


def test_weights_of_the_model_itself():
    """What Keras cannot copy is used by both."""
    inp = keras.Input((2,))
    layer = Uncopyable(keras.ops.relu)
    converter = convert(keras.Model(inp, layer(inp)), native=False)
    assert converter.layers[layer].tensor_func is layer


@pytest.mark.parametrize(
    "layer, reason",
    [
        (L.Masking(), "it makes masks"),
        (L.LSTM(2, stateful=True), "stateful has value True"),
        (lambda x: keras.ops.mean(x, axis=0), "does not have an axis of items"),
        (lambda x: keras.ops.cumsum(x, axis=0), "it mixes items of a batch"),
        (lambda x: keras.ops.reshape(x, (-1, 1)), "have an axis of items of a batch"),
    ],
)
def test_refused(layer, reason):
    inp = keras.Input(batch_shape=(2, 3, 2))
    with pytest.raises(TypeError, match=reason):
        Converter(keras.Model(inp, layer(inp)))


def test_refused_texts():
    inp = keras.Input((2,), dtype="string")
    with pytest.raises(TypeError, match="it works on values of type string"):
        Converter(keras.Model(inp, L.Hashing(3)(inp)))


def test_refused_masks_of_users():
    class MakesMask(L.Layer):
        def call(self, x):
            return x

        def compute_mask(self, x, previous_mask=None):
            return keras.ops.not_equal(x, 0)

    inp = keras.Input((2,))
    with pytest.raises(TypeError, match="it makes masks"):
        Converter(keras.Model(inp, MakesMask()(inp)))


def test_temporal():
    inp = keras.Input((None, 4, 2))
    x = L.LayerNormalization()(inp)
    outputs = [x, L.Multiply()([x, inp]), x * inp]
    model = keras.Model(inp, outputs)
    compare(convert(model, native=False, temporal_model=True), n_steps=3, native=False)


@pytest.mark.parametrize(
    "layer, reason",
    [
        (L.LSTM(2, return_sequences=True), "it mixes steps in time"),
        (L.LSTM(2), "does not have an axis of steps|it mixes steps"),
        (lambda x: keras.ops.mean(x, axis=1), "mixes steps|no axis|does not have"),
    ],
)
def test_refused_in_temporal_models(layer, reason):
    inp = keras.Input((None, 2))
    with pytest.raises(TypeError, match=reason):
        Converter(keras.Model(inp, layer(inp)), temporal_model=True)
