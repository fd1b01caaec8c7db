"""Models of layers with spatial axes, and what Keras computes with them."""

import keras
import numpy as np
from converter.comparing import compare, convert, expected_outputs, random_inputs


def branches(shape, layers):
    """Returns a model of layers that all have the same input, with random weights."""
    inp = keras.Input(shape)
    model = keras.Model(inp, [layer(inp) for layer in layers])
    rng = np.random.RandomState(1)
    model.set_weights([rng.uniform(-1, 1, w.shape) for w in model.get_weights()])
    return model


def check_channels_first(shape, classes, run):
    """
    Compares layers with channels first with the same layers with channels last.

    TensorFlow cannot compute convolutions with channels first on CPUs.

    Parameters
    ----------
    shape : tuple of int
        The shape of the input, with channels first.
    classes : list of (type, dict)
        Layers and their arguments.
    run : callable
        Computes the outputs of a converter.
    """
    layers = [cls(data_format="channels_first", **options) for cls, options in classes]
    model = branches(shape, layers)
    twin = branches(
        (*shape[1:], shape[0]),
        [cls(data_format="channels_last", **options) for cls, options in classes],
    )
    twin.set_weights(model.get_weights())
    (x,) = random_inputs(model)
    expected = expected_outputs(twin, [np.moveaxis(x, 1, -1)])
    outputs = run(convert(model, inference_only=True), [x])
    for layer, output, values, tensor in zip(
        layers, outputs, expected, twin.outputs, strict=True
    ):
        values = np.reshape(values, (len(x), *tensor.shape[1:]))
        if values.ndim > 2 and not isinstance(layer, keras.layers.Flatten):
            values = np.moveaxis(values, -1, 1)
        np.testing.assert_allclose(
            output.ravel(), values.ravel(), atol=1e-6, err_msg=layer.name
        )


def check_branches(shape, layers, native=True, **options):
    """Compares layers of one input with Keras, and returns the converter."""
    converter = convert(branches(shape, layers), **options)
    compare(converter, native=native)
    return converter


def n_trainable(converter):
    """Returns how many numbers of a network are trained, by its own settings."""
    # (a simulator would take seconds, and training tests compare with Keras as well)
    network, count = converter.net, 0
    for conn in network.all_connections:
        if network.config[conn].trainable:
            count += np.size(conn.transform.sample(rng=np.random))
    for ensemble in network.all_ensembles:
        if network.config[ensemble.neurons].trainable is not False:
            count += ensemble.n_neurons
    return count
