"""Compare converted networks with the Keras models that they were made of."""

import warnings

import keras
import nengo
import numpy as np
import tensorflow as tf

import nengo_dl
from nengo_dl.converter import Converter


def random_inputs(model, batch_size=2, n_steps=None, low=-1, high=1, seed=0):
    """Returns random data for all inputs of a model."""
    rng = np.random.RandomState(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [batch_size, *tensor.shape[1:]]
        if n_steps is not None:
            shape[1] = n_steps
        x = rng.uniform(low, high, shape)
        arrays.append(x.astype(tensor.dtype))
    return arrays


def convert(model, native=True, **options):
    """Converts a model, in float64, and without warnings if all of it is native."""
    with warnings.catch_warnings():
        if not native:
            warnings.filterwarnings("ignore", "(?s).*alling back to")
        converter = Converter(model, allow_fallback=not native, **options)
    with converter.net:
        nengo_dl.configure_settings(dtype="float64")
    return converter


def expected_outputs(model, arrays, n_steps=1):
    """Returns what Keras computes, each as an array (batch_size, n_steps, size)."""
    flat = keras.Model(model.inputs, model.outputs)
    values = tf.nest.flatten(flat(list(arrays), training=False))
    return [np.reshape(value, (len(arrays[0]), n_steps, -1)) for value in values]


def outputs_in_nengo(converter, arrays, n_steps=1):
    """Returns what `nengo.Simulator` computes, item by item, in one network."""
    nodes = [converter.inputs[tensor] for tensor in converter.model.inputs]
    probes = [converter.outputs[tensor] for tensor in converter.model.outputs]
    found = []
    with nengo.Simulator(converter.net, progress_bar=False, optimize=False) as sim:
        signals = [sim.model.sig[node]["out"] for node in nodes]
        for item in range(len(arrays[0])):
            sim.reset()
            for step in range(n_steps):
                for signal, x in zip(signals, arrays):
                    value = np.reshape(x[item], (n_steps, -1))[step]
                    array = sim.signals[signal]
                    array.setflags(write=True)
                    array[...] = value
                sim.step()
            found.append([np.array(sim.data[probe]) for probe in probes])
    return [np.stack(values) for values in zip(*found)]


def outputs_in_nengo_dl(converter, arrays, n_steps=1):
    """Returns what `nengo_dl.Simulator` computes."""
    data = {
        converter.inputs[tensor]: np.reshape(x, (len(x), n_steps, -1))
        for tensor, x in zip(converter.model.inputs, arrays)
    }
    with nengo_dl.Simulator(
        converter.net,
        minibatch_size=len(arrays[0]),
        unroll_simulation=1,
        progress_bar=False,
    ) as sim:
        values = sim.predict(data)
    return [values[converter.outputs[tensor]] for tensor in converter.model.outputs]


def compare(converter, arrays=None, n_steps=None, native=True, atol=1e-6, rtol=1e-5):
    """Compares all outputs with Keras, in `nengo.Simulator` if all is native."""
    model = converter.model
    if arrays is None:
        arrays = random_inputs(model, n_steps=n_steps)
    run = outputs_in_nengo if native else outputs_in_nengo_dl
    n_steps = n_steps or 1
    outputs = run(converter, arrays, n_steps)
    for tensor, value, expected in zip(
        model.outputs, outputs, expected_outputs(model, arrays, n_steps)
    ):
        np.testing.assert_allclose(
            value, expected, atol=atol, rtol=rtol, err_msg=str(tensor)
        )


def n_parameters(weights):
    """Returns the number of elements of some weights."""
    return sum(int(np.prod(weight.shape)) for weight in weights)


def check(model, native=True, arrays=None, n_steps=None, **options):
    """Converts a model, and compares all of its outputs with Keras."""
    converter = convert(model, native, **options)
    compare(converter, arrays, n_steps, native)
    return converter
