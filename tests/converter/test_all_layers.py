"""Every layer of Keras: the network has its values, and the documentation is right."""

import keras
import pytest
import tensorflow as tf
from converter.comparing import compare, convert
from converter.keras_layers import (
    BEGIN,
    END,
    LEFT_OUT,
    PAGE,
    call_layer,
    example_input,
    kind_of,
    layer_classes,
    random_weights,
    table,
)

import nengo_dl
from nengo_dl.converter import Converter

# Layers that are left out here: they take long, and are much like others.
SIMILAR = {"ConvLSTM2D", "ConvLSTM3D", "GRUCell", "SimpleRNNCell"}

# `nengo.Simulator` has no convolutions in three dimensions.
ONLY_IN_NENGO_DL = {"Conv3D", "Conv3DTranspose"}

if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 4):
    SIMILAR.add("Discretization")  # Keras itself rounds its input within `tf.function`


@pytest.fixture(scope="module")
def names_by_kind():
    """Returns the names of layers by what becomes of them."""
    found = {}
    for names in layer_classes().values():
        if names[0] not in LEFT_OUT:
            found.setdefault(kind_of(names[0])[0], []).append(names[0])
    return found


def model_of(names):
    """Returns a model that calls all layers, and data for it."""
    inputs, outputs = [], []
    for name in sorted(names):
        ours, output = call_layer(name)
        inputs += ours
        outputs += tf.nest.flatten(output)
    model = keras.Model(inputs, outputs)
    random_weights(model)
    return model, [example_input(tensor) for tensor in model.inputs]


def test_native_layers(names_by_kind):
    names = names_by_kind["native"] + names_by_kind["native in inference"]
    model, arrays = model_of(set(names) - {"TimeDistributed"} - ONLY_IN_NENGO_DL)
    compare(convert(model, inference_only=True), arrays, atol=1e-5)


def test_other_layers(names_by_kind):
    names = set(names_by_kind["fallback"]) | ONLY_IN_NENGO_DL
    model, arrays = model_of(names - SIMILAR)
    converter = convert(model, native=False)
    with converter.net:
        nengo_dl.configure_settings(jit_compile=False, inference_only=True)
    compare(converter, arrays, native=False, atol=1e-4)


def test_refused_layers(names_by_kind):
    for name in names_by_kind["refused"]:
        inputs, outputs = call_layer(name)
        with pytest.raises(TypeError, match=f"\\({name}\\): .*Nengo"):
            Converter(keras.Model(inputs, outputs))


def test_documentation():
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written = rest.partition(END)[0].strip().splitlines()
    now = "\n".join(table()).strip().splitlines()
    if written[0] != now[0]:
        pytest.skip(f"the table was not {now[0].lower()}")
    assert written == now, (
        "run `PYTHONPATH=.:tests python tests/converter/keras_layers.py`"
    )
