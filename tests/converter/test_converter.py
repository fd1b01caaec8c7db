"""Whole models: nested, shared, with several inputs and outputs, and all options."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.converter import Converter, LayerConverter
from tests.converter.comparing import check, compare, convert


def two_layers(activation="relu"):
    inp = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(5, activation=activation, name="hidden")(inp)
    return keras.Model(inp, keras.layers.Dense(3, name="output")(hidden), name="net")


# -- models --------------------------------------------------------------------------


def test_sequential():
    """Its tensors and layers are keys, and so are those of `converter.model`."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="relu", name="first")]
    )
    converter = check(model)
    assert converter.inputs[model.inputs[0]] is converter.inputs[converter.model.input]
    assert (
        converter.layers[model.get_layer("first")] is converter.layers[model.outputs[0]]
    )
    assert converter.net.label == model.name


def test_models_that_are_not_built():
    model = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="not known; begin a Sequential model"):
        Converter(model)


def test_no_model():
    for received in (keras.layers.Dense(3), "model", None):
        with pytest.raises(TypeError, match="takes a Keras model"):
            Converter(received)


def test_subclassed_model():
    """As one layer, once it is known what it is called with."""

    class Subclass(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, activation="relu")

        def call(self, x):
            return self.dense(x)

    model = Subclass()
    with pytest.raises(ValueError, match="call a subclassed one"):
        Converter(model)
    model(np.zeros((1, 4)))
    check(model, native=False)
    with pytest.raises(TypeError, match=model.name):
        Converter(model, allow_fallback=False)


def test_nested_models():
    """Two inputs and outputs, another model inside, applied twice."""
    a, b = keras.Input((3,)), keras.Input((3,))
    c = keras.Input((3,))
    innermost = keras.Model(c, keras.layers.ReLU()(c), name="innermost")
    inner = keras.Model(
        [a, b], [keras.layers.Add()([innermost(a), b]), a], name="inner"
    )
    x, y = keras.Input((3,)), keras.Input((3,))
    first, passed = inner([x, y])
    second, _ = inner([passed, first])
    model = keras.Model([x, y], [second, passed, first])
    converter = check(model)
    labels = [net.label for net in converter.net.all_networks]
    assert labels.count("inner.0") == labels.count("inner.1") == 1
    assert labels.count("innermost.0") == 2
    assert converter.layers[passed] is converter.inputs[x]


def test_network_of_a_nested_model():
    inp, a = keras.Input((3,)), keras.Input((3,))
    inner = keras.Model(a, keras.layers.ReLU(name="relu")(a))
    converter = Converter(keras.Model(inp, inner(inp)))
    net = converter.layers[inner]
    assert isinstance(net, nengo.Network)
    assert net.layers[inner.get_layer("relu")].ensemble in net.all_ensembles


def test_inputs_that_are_outputs():
    x, y = keras.Input((2,)), keras.Input((3,))
    model = keras.Model((x, y), [x, keras.layers.ReLU()(y), x])
    check(model)


def test_outputs_from_everywhere():
    """Also in the middle, several times, and of a layer that branches."""
    layer = keras.layers.ReLU()
    x = keras.Input((4,))
    tensors = [x]
    for _ in range(3):
        tensors.append(layer(keras.layers.Rescaling(-1.5, 0.3)(tensors[-1])))
    total = keras.layers.Add(name="add")([tensors[1], tensors[3]])
    model = keras.Model(x, [*tensors[1:], total, tensors[2]])
    converter = check(model)
    # one Probe for what is an output twice; each has a name
    assert len(converter.net.probes) == 4
    labels = [probe.label for probe in converter.net.probes]
    assert labels == [*[layer.name] * 3, "add"]
    with pytest.raises(KeyError, match="has been called multiple times"):
        Converter(model).layers[layer]


def test_shared_weights():
    """Every call has its own weights, if the user agrees."""
    shared, x = keras.layers.Dense(4, name="shared"), keras.Input((4,))
    model = keras.Model(x, shared(shared(shared(x))))
    converter = check(model, split_shared_weights=True)
    assert len(converter.net.connections) == 6
    with pytest.raises(ValueError, match="not supported unless split_shared_weights"):
        Converter(model)
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, shared(inner_input))
    with pytest.raises(ValueError, match=r"`shared` \(2 calls\)"):
        Converter(keras.Model(x, inner(shared(x))))


@pytest.mark.parametrize("shape", [(None,), (4, None), (None, 3, 2)])
def test_inputs_of_unknown_shape(shape):
    x = keras.Input(shape)
    with pytest.raises(ValueError, match="fully specified.*temporal_model=True"):
        Converter(keras.Model(x, keras.layers.ReLU()(x)))


# -- what becomes of it --------------------------------------------------------------


def test_dictionaries():
    x, y = keras.Input((2,)), keras.Input((3,))
    first, second = keras.layers.Dense(4), keras.layers.Dense(4, activation="relu")
    add = keras.layers.Add()
    hidden, rates = first(x), second(y)
    model = keras.Model([x, y], [hidden, add([hidden, rates])])
    converter = Converter(model)
    assert len(converter.inputs) == 2 and len(converter.outputs) == 2
    assert len(converter.layers) == 5
    for tensor in model.outputs:
        assert converter.outputs[tensor].target is converter.layers[tensor]
    for tensor in model.inputs:
        assert converter.inputs[tensor] is converter.layers[tensor]
    assert isinstance(converter.layers[hidden], nengo.Node)
    assert isinstance(converter.layers[rates], nengo.ensemble.Neurons)
    assert converter.layers[first] is converter.layers[hidden]
    assert converter.layers[second] is converter.layers[rates]
    assert converter.net.inputs is converter.inputs
    assert converter.net.outputs is converter.outputs
    assert converter.net.layers is converter.layers


def test_labels():
    converter = Converter(two_layers())
    assert [node.label for node in converter.net.nodes][0] == "x"
    assert [ensemble.label for ensemble in converter.net.ensembles] == ["hidden.0"]
    assert [probe.label for probe in converter.net.probes] == ["output"]


def test_results_by_name():
    """Losses and metrics have the names that the outputs have in Keras."""
    converter = Converter(two_layers())
    with nengo_dl.Simulator(converter.net, progress_bar=False) as sim:
        sim.compile(loss={"output": "mse"})
        x, y = {"x": np.ones((1, 1, 4))}, {"output": np.ones((1, 1, 3))}
        assert set(sim.evaluate(x, y, verbose=0)) == {"loss", "output_loss"}


def test_seed():
    """Of the network that was made, as of any network."""
    swaps = {"relu": nengo.SpikingRectifiedLinear()}
    converter = Converter(two_layers(), swap_activations=swaps)
    assert converter.net.seed is None
    (ensemble,) = converter.net.ensembles
    voltages = []
    for seed in (0, 0, 1):
        converter.net.seed = seed
        with nengo.Simulator(converter.net, progress_bar=False) as sim:
            voltages.append(sim.signals[sim.model.sig[ensemble.neurons]["voltage"]])
    assert np.array_equal(voltages[0], voltages[1])
    assert not np.array_equal(voltages[0], voltages[2])


def test_synapse():
    """On what comes from neurons, and nowhere else."""
    model = two_layers()
    both = keras.Model(
        model.input, [model.get_layer("hidden").output, model.outputs[0]]
    )
    converter = Converter(both, synapse=0.1)
    for conn in converter.net.connections:
        is_neural = isinstance(conn.pre_obj, nengo.ensemble.Neurons)
        expected = nengo.Lowpass(0.1) if is_neural else None
        assert conn.synapse == expected
    rates, linear = (converter.outputs[tensor] for tensor in both.outputs)
    assert rates.synapse == nengo.Lowpass(0.1) and linear.synapse is None


def test_settings_of_the_network():
    for inference_only in (False, True):
        converter = Converter(two_layers(), inference_only=inference_only)
        setting = nengo_dl.config.get_setting(converter.net, "inference_only")
        assert setting is inference_only
        assert "trainable" in converter.net.config[nengo.Connection].extra_params


# -- neurons -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "activation, swaps, neuron_type",
    [
        ("sigmoid", {"sigmoid": "relu"}, nengo.RectifiedLinear()),
        (
            "relu",
            {tf.nn.relu: nengo.SpikingRectifiedLinear()},
            nengo.SpikingRectifiedLinear(),
        ),
        ("relu", {nengo.RectifiedLinear(): nengo.Tanh()}, nengo.Tanh()),
        (
            "sigmoid",
            {"sigmoid": "relu", nengo.RectifiedLinear(): nengo.Tanh()},
            nengo.Tanh(),
        ),
    ],
)
def test_swapped_activations(activation, swaps, neuron_type):
    """The network is the one that one would have written by hand."""
    model = two_layers(activation)
    converter = Converter(model, swap_activations=swaps)
    hidden = model.get_layer("hidden")
    kernel, bias = (weights.astype(float) for weights in hidden.get_weights())
    x = np.array([1, -0.5, 2, 0.7])
    with nengo.Network() as net:
        inp = nengo.Node(x)
        ensemble = nengo.Ensemble(
            5, 1, neuron_type=neuron_type, gain=np.ones(5), bias=bias, seed=0
        )
        nengo.Connection(inp, ensemble.neurons, transform=kernel.T, synapse=None)
        expected = nengo.Probe(ensemble.neurons)
    converter.inputs[model.input].output = x
    neurons = converter.layers[hidden]
    neurons.ensemble.seed = 0
    with converter.net:
        found = nengo.Probe(neurons)
    data = []
    for network, probe in ((net, expected), (converter.net, found)):
        with nengo.Simulator(network, progress_bar=False) as sim:
            sim.run_steps(50)
        data.append(sim.data[probe])
    np.testing.assert_allclose(*data, atol=1e-5)


def test_swaps_that_are_not_used():
    swaps = {"relu": nengo.LIF(), "tanh": nengo.LIF(), nengo.Sigmoid(): nengo.LIF()}
    with pytest.warns(UserWarning, match="no layers in the model with that activation"):
        converter = Converter(two_layers(), swap_activations=swaps)
    assert converter.swap_activations.unused_keys() == {"tanh", nengo.Sigmoid()}
    assert len(converter.swap_activations) == 3
    assert set(converter.swap_activations) == set(swaps)


def test_scale_firing_rates():
    """Rates of linear neurons stay as they are."""
    check(two_layers(), scale_firing_rates=5)
    amplified = nengo.RectifiedLinear(amplitude=2)
    model = two_layers()
    converter = Converter(
        model, scale_firing_rates=5, swap_activations={"relu": amplified}
    )
    ensemble = converter.layers[model.get_layer("hidden")].ensemble
    assert ensemble.neuron_type.amplitude == 2 / 5
    assert amplified.amplitude == 2


def test_scale_of_neurons_without_amplitude():
    with pytest.warns(UserWarning, match="does not support amplitude"):
        converter = Converter(two_layers("sigmoid"), scale_firing_rates=5)
    with pytest.raises(ValueError, match="does not match output"):
        converter.verify()


@pytest.mark.parametrize("by_layer", [False, True])
def test_scaled_spikes(by_layer):
    """Of neurons with a bias, and without one: more spikes, which are smaller."""
    x = keras.Input((1,))
    relu = keras.layers.ReLU()
    biased = keras.layers.Dense(
        1, activation="relu", kernel_initializer="ones", bias_initializer="ones"
    )
    other = keras.layers.ReLU()
    model = keras.Model(x, [relu(x), biased(x), other(x)])
    scales = {relu: 3, biased: 4} if by_layer else 5
    converter = Converter(
        model,
        scale_firing_rates=scales,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
    )
    converter.inputs[x].output = np.array([20.0])
    with nengo.Simulator(converter.net, progress_bar=False) as sim:
        sim.run_steps(1000)
    for tensor, layer, value in zip(model.outputs, (relu, biased, other), (20, 21, 20)):
        scale = scales.get(layer, 1) if by_layer else 5
        spikes = sim.data[converter.outputs[tensor]]
        assert np.unique(spikes[spikes > 0]) == pytest.approx(1000 / scale)
        assert np.sum(spikes > 0) == pytest.approx(value * scale, abs=1)


# -- converters of the user ----------------------------------------------------------


class AddOne(keras.layers.Layer):
    """A layer that nobody knows."""

    def call(self, x):
        return x + 1


@pytest.fixture
def registered():
    @Converter.register(AddOne)
    class ConvertAddOne(LayerConverter):
        def convert(self, node_id):
            obj = self.add_nengo_obj(node_id)
            self.add_biases(node_id, obj, np.ones(obj.size_in), trainable=False)
            self.add_connection(node_id, obj)
            return obj

    yield ConvertAddOne
    del Converter.converters[AddOne]


def test_registered_converter(registered):
    x, layer = keras.Input((3,)), AddOne(name="add_one")
    converter = check(keras.Model(x, layer(x)))
    assert type(converter.get_converter(layer)) is registered
    assert converter.get_converter(layer) is converter.get_converter(layer)
    assert converter.layers[layer].label == "add_one.0"


def test_registered_twice(registered):
    with pytest.warns(UserWarning, match="already has a converter"):
        Converter.register(AddOne)(registered)


def test_subclasses_of_known_layers_are_not_known():
    """They may compute something else."""

    class Double(keras.layers.Dense):
        def call(self, x):
            return 2 * super().call(x)

    x = keras.Input((3,))
    model = keras.Model(x, Double(2, name="double")(x))
    with pytest.raises(TypeError, match="no converter for this type of layer"):
        Converter(model, allow_fallback=False)
    check(model, native=False)


def test_all_reasons_at_once():
    """One error, and one warning, name all layers."""
    x = keras.Input((6,))
    hidden = keras.layers.Dense(4, activation="softmax", name="unknown")(x)
    hidden = keras.layers.Reshape((2, 2))(hidden)
    hidden = keras.layers.MaxPooling1D(2, name="pool")(hidden)
    hidden = keras.layers.Flatten()(hidden)
    model = keras.Model(x, keras.layers.Softmax(name="soft")(hidden))
    with pytest.raises(TypeError) as error:
        Converter(model, allow_fallback=False)
    with pytest.warns(UserWarning, match="TensorNode") as warned:
        converter = Converter(model)
    messages = [str(w.message) for w in warned if "TensorNode" in str(w.message)]
    assert len(messages) == 1
    for text in (str(error.value), *messages):
        assert "`unknown` (Dense): Unsupported activation type" in text
        assert "`pool` (MaxPooling1D)" in text and "max_to_avg_pool=True" in text
        assert "`soft` (Softmax)" in text and "Reshape" not in text
    assert "falling back to a TensorNode" in messages[0]
    compare(converter, native=False)


def test_unfit_layers_of_get_converter():
    converter = convert(two_layers())
    with pytest.raises(TypeError, match="Unable to convert layer 'pool'"):
        converter.get_converter(keras.layers.MaxPooling1D(2, name="pool"))
