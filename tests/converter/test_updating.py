"""Tests of weights that go from one network, or model, to another."""

import keras
import nengo
import numpy as np
import pytest
from converter.comparing import (
    compare,
    convert,
    expected_outputs,
    outputs_in_nengo,
    random_inputs,
)
from nengo.exceptions import ValidationError

import nengo_dl
from nengo_dl.converter import Converter

L = keras.layers


@pytest.fixture(scope="module")
def model():
    """Returns a model with neurons, of biases and without, and normalization."""
    keras.utils.set_random_seed(1)
    inp = keras.Input((4,))
    x = L.Dense(5, activation="relu", bias_initializer="uniform")(inp)
    x = L.ReLU()(L.BatchNormalization()(x))
    return keras.Model(inp, [L.Dense(3, activation="relu")(x), L.Dense(2)(x)])


def other_weights(model, seed):
    """Returns random weights for a model."""
    rng = np.random.RandomState(seed)
    return [rng.uniform(0.1, 1, w.shape) for w in model.get_weights()]


def test_files(model, tmp_path):
    """Files have the numbers of the Keras model, whatever the scale of the rates."""
    model.set_weights(other_weights(model, 0))
    options = {"native": True, "inference_only": True}
    saved = convert(model, scale_firing_rates=5, **options)
    expected = keras.ops.convert_to_numpy(model.layers[1].bias)
    with nengo_dl.Simulator(saved.net, progress_bar=False) as sim:
        sim.save_params(tmp_path / "params")
    with np.load(tmp_path / "params.npz") as file:
        name = next(n for n in file if "bias" in n and "built" not in n)
        np.testing.assert_allclose(file[name], expected, rtol=1e-6)

    twin = keras.models.clone_model(model)
    twin.set_weights(other_weights(model, 2))
    # (statistics are no parameters of Nengo, but they are of Keras)
    for ours, theirs in zip(model.non_trainable_weights, twin.non_trainable_weights):
        theirs.assign(ours)
    arrays = random_inputs(model)
    expected = expected_outputs(model, arrays)
    for changes in (
        {},
        {"scale_firing_rates": {twin.layers[1]: 3}},
        {"swap_activations": {"relu": nengo_dl.LeakyReLU(negative_slope=0)}},
    ):
        converter = convert(twin, **options, **changes)
        with nengo_dl.Simulator(converter.net, progress_bar=False) as sim:
            sim.load_params(tmp_path / "params")
            sim.freeze_params(converter.net)
        for value, right in zip(outputs_in_nengo(converter, arrays), expected):
            np.testing.assert_allclose(value, right, rtol=1e-5)


def test_keras_weights_that_change(model):
    converter = convert(model, inference_only=True, scale_firing_rates=2)
    net = converter.net
    conn = net.connections[-1]
    ensembles = net.all_ensembles
    for seed in (3, 4):
        model.set_weights(other_weights(model, seed))
        assert converter.net is net
        assert net.connections[-1] is conn
        assert net.all_ensembles == ensembles
        compare(converter)


def test_layers_in_tensor_nodes(model):
    inp = keras.Input((4,))
    x = L.LayerNormalization()(L.PReLU(alpha_initializer="ones")(inp))
    model = keras.Model(inp, [x, x * x])
    converter = convert(model, native=False)
    model.set_weights(other_weights(model, 0))
    compare(converter, native=False)


def test_weights_that_were_zero():
    """The objects of a network do not depend on the values of weights."""
    inp = keras.Input((4,))
    model = keras.Model(inp, L.BatchNormalization()(L.Dense(3)(inp)))
    converter = convert(model, inference_only=True)
    model.set_weights(other_weights(model, 1))
    compare(converter)


def test_changed_networks(model):
    converter = convert(model, inference_only=True)
    net = converter.net
    ensemble = net.all_ensembles[0]
    ensemble.neuron_type = nengo.LIFRate()
    removed = net.connections.pop()
    model.set_weights(other_weights(model, 5))
    assert converter.net.all_ensembles[0].neuron_type == nengo.LIFRate()
    assert removed not in converter.net.all_connections

    conn = next(c for c in net.connections if isinstance(c.transform, nengo.Dense))
    conn.transform = nengo.Sparse(
        conn.transform.shape, indices=[[0, 0]], init=np.ones(1)
    )
    model.set_weights(other_weights(model, 6))
    with pytest.raises(ValidationError, match="of another type or shape"):
        _ = converter.net


def test_networks_around(model):
    """An update inside of another network leaves that alone."""
    with nengo.Network() as outer:
        converter = Converter(model, inference_only=True)
        assert outer.networks == [converter.net]
        model.set_weights(other_weights(model, 7))
        assert outer.networks == [converter.net]
