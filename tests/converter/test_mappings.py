import keras
import pytest

from nengo_dl.converter.keras_graph import KerasGraph
from nengo_dl.converter.mappings import KerasTensorDict, TrackedDict


@pytest.fixture
def model():
    x, shared = keras.Input((3,), name="x"), keras.layers.Dense(3, name="shared")
    first = shared(x)
    second = keras.layers.ReLU(name="relu")(shared(first))
    return keras.Model(x, [second, first])


@pytest.fixture
def objects(model):
    """Every tensor stands for the name of its layer and the number of the call."""
    graph = KerasGraph(model)
    found = KerasTensorDict(model, graph)
    found.add(graph.inputs, "x")
    for call in graph.calls:
        found.add(call.outputs, f"{call.op.name}.{call.node_id}")
    return found


def test_keys(model, objects):
    """Tensors, lists of tensors, and layers."""
    x, (relu, first) = model.input, model.outputs
    assert objects[x] == objects[[x]] == objects[(x,)] == objects[model.inputs] == "x"
    assert objects[relu] == objects[model.get_layer("relu")] == "relu.0"
    assert objects[model.layers[0]] == "x"
    assert objects[first] == "shared.0"


def test_tensors_between_calls(model, objects):
    """Also if the layer was called outside of the model."""
    relu, shared = model.get_layer("relu"), model.get_layer("shared")
    assert objects[relu.input] == "shared.1"
    assert objects[shared.output] == "shared.0"
    outside = shared(keras.Input((3,)))
    with pytest.raises(KeyError, match="does not belong to the model"):
        objects[outside]


def test_missing_keys(model, objects):
    with pytest.raises(KeyError, match="has been called multiple times"):
        objects[model.get_layer("shared")]
    with pytest.raises(KeyError, match="is not a layer of the model"):
        objects[keras.layers.ReLU()]
    with pytest.raises(KeyError, match="is not an input of the model"):
        objects[keras.layers.InputLayer((2,))]
    for key in ("relu", 3, None):
        with pytest.raises(KeyError, match="neither a layer nor a tensor"):
            objects[key]


def test_mapping(objects):
    assert len(objects) == 4
    assert list(objects.values()) == ["x", "shared.0", "shared.1", "relu.0"]
    assert all(isinstance(key, tuple) and objects[key] for key in objects)


def test_tracked_dict():
    tracked = TrackedDict({"a": 1, "b": 2, "c": 3})
    assert tracked.unused_keys() == {"a", "b", "c"}
    assert tracked["a"] == 1 and "b" in tracked and len(tracked) == 3
    assert list(tracked) == ["a", "b", "c"]
    assert tracked.unused_keys() == {"b", "c"}
    assert tracked.get("b") == 2 and tracked.get("z") is None
    assert tracked.unused_keys() == {"c"}
