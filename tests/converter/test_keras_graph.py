import keras
import numpy as np
import pytest

from nengo_dl.converter.keras_graph import FUNCTIONAL, KerasGraph, is_graph

X = np.random.RandomState(0).normal(size=(4, 3)).astype(np.float32)


@pytest.fixture
def nested():
    """A model with a layer that is called twice, an operation, and a nested model."""
    inner_input = keras.Input((3,), name="inner_input")
    inner = keras.Model(inner_input, keras.layers.ReLU(name="inner_relu")(inner_input))
    inp, dense = keras.Input((3,), name="x"), keras.layers.Dense(3, name="dense")
    hidden = dense(dense(inp)) + 1
    output = keras.layers.Add(name="add")([inner(hidden), inp])
    return keras.Model(inp, [output, hidden]), dense, inner


def test_calls(nested):
    model, dense, inner = nested
    graph = KerasGraph(model)
    names = [type(call.op).__name__ for call in graph.calls]
    assert names == ["Dense", "Dense", "Add", FUNCTIONAL.__name__, "Add"]
    assert [call.node_id for call in graph.calls_of(dense)] == [0, 1]
    first, second = graph.calls_of(dense)
    assert second.inputs == first.outputs
    assert graph.input_layers == [model.layers[0]]
    (call,) = graph.nested[id(inner)].calls
    assert call.op.name == "inner_relu"
    assert len(list(graph.all_calls())) == 6


def test_nothing_is_changed(nested):
    """Neither the model nor its layers, compiled or not."""
    model, dense, inner = nested
    model.compile("sgd", loss=lambda target, output: output - target)
    layers, outputs = list(model.layers), list(model.outputs)
    weights, output = dense.get_weights(), dense.output
    KerasGraph(model)
    assert model.layers == layers and all(
        x is y for x, y in zip(model.outputs, outputs)
    )
    assert dense.output is output
    np.testing.assert_array_equal(dense.get_weights()[0], weights[0])


def test_run(nested):
    """Layer by layer as at once, and with layers replaced."""
    model = nested[0]
    graph = KerasGraph(model)
    for found, expected in zip(graph.run([X]), model(X)):
        np.testing.assert_allclose(found, expected, atol=1e-6)

    paths = []

    def double_relus(path, call, args, kwargs):
        paths.append([step.op.name for step in path])
        factor = 2 if isinstance(call.op, keras.layers.ReLU) else 1
        return factor * call.op(*args, **kwargs)

    output, hidden = graph.run([X], double_relus)
    expected = 2 * np.maximum(hidden, 0) + X
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert [nested[2].name, "inner_relu"] in paths


def test_arguments():
    """What layers are called with, besides tensors."""
    x, y = keras.Input((2,)), keras.Input((2,))
    dropout = keras.layers.Dropout(0.5)
    output = dropout(keras.layers.Add()([x, y]), training=False)
    graph = KerasGraph(keras.Model([x, y], output))
    add, drop = graph.calls
    assert add.inputs == graph.inputs and not add.is_plain
    assert drop.kwargs["training"] is False and not drop.is_plain
    assert graph.outputs == drop.outputs


def test_outputs_that_are_inputs():
    x = keras.Input((2,))
    graph = KerasGraph(keras.Model(x, [x, x]))
    assert graph.outputs == graph.inputs * 2 and graph.calls == []


def test_what_is_a_graph():
    class Subclass(keras.Model):
        def call(self, x):
            return 2 * x

    x = keras.Input((2,))

    class Named(FUNCTIONAL):
        """Functional, with attributes of its own."""

    class Overridden(FUNCTIONAL):
        def call(self, x, **kwargs):
            return 2 * super().call(x, **kwargs)

    assert is_graph(keras.Model(x, x))
    assert is_graph(Named(x, x))
    assert is_graph(keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]))
    assert not is_graph(keras.Sequential([keras.layers.ReLU()]))
    assert not is_graph(Subclass())
    assert not is_graph(Overridden(x, x))
    assert not is_graph(keras.layers.ReLU())
