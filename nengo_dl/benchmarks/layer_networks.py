"""
Networks of Keras layers, and one of other people, that NengoDL 3 was measured with.

In: sizes. Out: `nengo.Network` objects with the attributes that those of `networks`
have.
"""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import nengo
import numpy as np

# Sizes of a Legendre memory unit that classifies sequences of pixels (Voelker et al.,
# 2019): of the hidden state, of the memory, and of the output.
UNITS, ORDER, CLASSES = 212, 256, 10

# ------------------------------------------------------------------------------ digits

FILTERS = (32, 64, 128)


def mnist(use_tensor_layer: bool = True) -> nengo.Network:
    """
    Convolutional network that classifies images of 28×28 pixels.

    Parameters
    ----------
    use_tensor_layer : bool
        Whether every layer is a TensorNode of its own, with neurons of Nengo between
        them. If False, one TensorNode has the whole Keras model.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp`` and ``p``.
    """
    import keras

    import nengo_dl

    layers = _layers_of_digits(with_activations=not use_tensor_layer)
    with nengo.Network(label="mnist", seed=0) as net:
        x = net.inp = nengo.Node(np.zeros(28 * 28))
        if use_tensor_layer:
            shape: tuple[int, ...] = (28, 28, 1)
            for layer in layers:
                if layer == "neurons":
                    neurons = nengo.RectifiedLinear()
                    kwargs = {
                        "gain": nengo.dists.Choice([1]),
                        "bias": nengo.dists.Choice([0]),
                    }
                    x = nengo_dl.Layer(neurons)(x, **kwargs)
                    continue
                x = nengo_dl.Layer(layer)(x, shape_in=shape)
                shape = x.shape_out
        else:
            model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
            x = nengo_dl.Layer(model)(x, shape_in=(28, 28, 1))
        net.p = nengo.Probe(x)
    return net


def _layers_of_digits(with_activations: bool) -> list[Any]:
    """Return Keras layers, and ``"neurons"`` where activations are left out."""
    import keras

    kwargs = {"activation": "relu"} if with_activations else {}
    layers: list[Any] = []
    for i, filters in enumerate(FILTERS):
        layers.append(keras.layers.Conv2D(filters, 3, **kwargs))
        if not with_activations:
            layers.append("neurons")
        if i > 0:
            layers.append(keras.layers.AveragePooling2D(2))
    readout = [keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    return layers + (readout if with_activations else [keras.Sequential(readout)])


# ------------------------------------------------------------------------------ memory


def lmu(
    theta: float, input_d: int, native_nengo: bool = False, dtype: str = "float32"
) -> nengo.Network:
    r"""
    Legendre memory unit, a recurrent network with a linear memory.

    In every step, :math:`u = e_x x + e_h h + e_m m`, with the values of the step before
    on the right, :math:`m = A m + B u`, and :math:`h = \tanh(W_x x + W_h h + W_m m)`,
    of which the output is a linear function.

    Parameters
    ----------
    theta : float
        How many steps the memory reaches back.
    input_d : int
        Size of the input in a step.
    native_nengo : bool
        Whether the network consists of Nengo objects, and gets the input of one step
        in every step. If False, it is a Keras layer that gets ``theta`` steps at once.
    dtype : str
        Float type of the simulation.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp`` and ``p``.

    References
    ----------
    Voelker, Kajić, Eliasmith (2019): Legendre Memory Units: continuous-time
    representation in recurrent neural networks. NeurIPS 32.
    """
    import keras

    import nengo_dl

    with nengo.Network(label="lmu", seed=0) as net:
        nengo_dl.configure_settings(dtype=dtype)
        if native_nengo:
            net.inp = nengo.Node(np.zeros(input_d))
            h = _memory_of_nengo_objects(net, theta)
            readout = nengo.Node(size_in=CLASSES)
            weights = nengo_dl.dists.Glorot()
            nengo.Connection(h, readout, transform=weights, synapse=None)
        else:
            shape = (int(theta), input_d)
            net.inp = nengo.Node(np.zeros(shape).ravel())
            cell = memory_cell(*memory_matrices(theta), dtype=dtype)
            layer = keras.layers.RNN(cell, dtype=dtype)
            h = nengo_dl.Layer(layer)(net.inp, shape_in=shape)
            dense = keras.layers.Dense(CLASSES, use_bias=False, dtype=dtype)
            readout = nengo_dl.Layer(dense)(h)
        net.p = nengo.Probe(readout)
    return net


def memory_matrices(theta: float) -> tuple[np.ndarray, np.ndarray]:
    r"""
    Return the matrices of a memory that holds the last ``theta`` steps of a value.

    In continuous time, :math:`\theta a_{ij} = (2i + 1) (-1)^{i - j + 1}` if
    :math:`i \geq j`, else :math:`-(2i + 1)`, and :math:`\theta b_i = (2i + 1) (-1)^i`.

    Returns
    -------
    a : (ORDER, ORDER) array
    b : (ORDER, 1) array
        For steps of length one, in which the input is constant.
    """
    i, j = np.meshgrid(np.arange(ORDER), np.arange(ORDER), indexing="ij")
    signs = np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    a = (2 * i + 1) * signs / theta
    b = ((2 * i + 1) * (-1.0) ** i)[:, :1] / theta
    # (Nengo's own function does not work for matrices of this size and NumPy 2)
    both = matrix_exponential(np.block([[a, b], [np.zeros((1, ORDER + 1))]]))
    return both[:ORDER, :ORDER], both[:ORDER, ORDER:]


def matrix_exponential(matrix: np.ndarray) -> np.ndarray:
    """Return the exponential of a matrix, by its Taylor series near zero, squared."""
    size = max(1.0, float(np.linalg.norm(matrix, 1)))
    n_squares = 1 + math.ceil(math.log2(size))
    scaled = matrix / 2**n_squares
    term = result = np.eye(len(matrix))
    for k in range(1, 20):
        term = term @ scaled / k
        result = result + term
    for _ in range(n_squares):
        result = result @ result
    return result


def _memory_of_nengo_objects(net: nengo.Network, theta: float) -> nengo.Node:
    """Add a memory unit behind ``net.inp``; return the Node of its hidden state."""
    import tensorflow as tf

    import nengo_dl

    nengo_dl.configure_settings(trainable=None)
    a, b = memory_matrices(theta)
    u, m = nengo.Node(size_in=1), nengo.Node(size_in=ORDER)
    h = nengo_dl.TensorNode(tf.nn.tanh, shape_in=(UNITS,), pass_time=False)
    weights = nengo_dl.dists.Glorot()
    # (a synapse of 0 is a delay of one step)
    nengo.Connection(net.inp, u, transform=weights, synapse=None)
    nengo.Connection(h, u, transform=weights, synapse=0)
    nengo.Connection(m, u, transform=np.zeros((1, ORDER)), synapse=0)
    nengo.Connection(net.inp, h, transform=weights, synapse=None)
    nengo.Connection(h, h, transform=weights, synapse=0)
    nengo.Connection(m, h, transform=weights, synapse=None)
    for conn in (
        nengo.Connection(u, m, transform=b, synapse=None),
        nengo.Connection(m, m, transform=a, synapse=0),
    ):
        net.config[conn].trainable = False
    return h


def memory_cell(a: np.ndarray, b: np.ndarray, dtype: str = "float32") -> Any:
    """Return a memory unit as a cell for `keras.layers.RNN`; see `lmu`."""
    import keras

    class MemoryCell(keras.layers.Layer):
        """One step of a Legendre memory unit."""

        state_size = (UNITS, ORDER)
        output_size = UNITS

        def build(self, shape: tuple[int | None, ...]) -> None:
            def weight(name: str, n_in: int | None, n_out: int, values: str) -> Any:
                return self.add_weight(
                    name=name, shape=(n_in, n_out), initializer=values
                )

            glorot, n = "glorot_uniform", shape[-1]
            self.input_to_u = weight("input_to_u", n, 1, glorot)
            self.hidden_to_u = weight("hidden_to_u", UNITS, 1, glorot)
            self.memory_to_u = weight("memory_to_u", ORDER, 1, "zeros")
            self.input_to_hidden = weight("input_to_hidden", n, UNITS, glorot)
            self.hidden_to_hidden = weight("hidden_to_hidden", UNITS, UNITS, glorot)
            self.memory_to_hidden = weight("memory_to_hidden", ORDER, UNITS, glorot)

        def call(self, x: Any, states: Any) -> tuple[Any, Any]:
            h, m = states
            u = x @ self.input_to_u + h @ self.hidden_to_u + m @ self.memory_to_u
            m = m @ keras.ops.cast(a.T, m.dtype) + u @ keras.ops.cast(b.T, u.dtype)
            h = keras.ops.tanh(
                x @ self.input_to_hidden
                + h @ self.hidden_to_hidden
                + m @ self.memory_to_hidden
            )
            return h, [h, m]

    return MemoryCell(dtype=dtype)


# ------------------------------------------------------------------------------- Spaun


def spaun(dimensions: int) -> nengo.Network:
    """
    Spaun 2.0, the model of a brain by Xuan Choo, if its package is there.

    Parameters
    ----------
    dimensions : int
        Length of semantic pointers.

    Returns
    -------
    net : nengo.Network
        With attribute ``p``.

    Raises
    ------
    ImportError
        If there is no package ``_spaun``.
    """
    if find_spec("_spaun") is None:
        raise ImportError(
            "The network `spaun` needs Spaun 2.0, whose package `_spaun` is not on "
            "PyPI: get it from https://github.com/xchoo/spaun2.0, and put its folder "
            "on PYTHONPATH",
            name="_spaun",
        )

    def part(module: str, name: str) -> Any:
        return getattr(import_module(f"_spaun.{module}"), name)

    # in the order of the script that runs Spaun
    cfg = part("configurator", "cfg")
    cfg.sp_dim = dimensions
    cfg.data_dir = cfg.probe_data_filename = ""
    vocab = part("vocabulator", "vocab")
    experiment = part("experimenter", "experiment")
    stimuli = part("modules.stim", "stim_data")
    vision = part("modules.vision", "vis_data")
    motor = part("modules.motor", "mtr_data")
    experiment.initialize(
        "A",
        stimuli.get_image_ind,
        stimuli.get_image_label,
        cfg.mtr_est_digit_response_time,
        "",
        cfg.rng,
    )
    vocab.initialize(stimuli.stim_SP_labels, experiment.num_learn_actions, cfg.rng)
    vocab.initialize_mtr_vocab(motor.dimensions, motor.sps)
    vocab.initialize_vis_vocab(vision.dimensions, vision.sps)
    net = part("spaun_main", "Spaun")()
    with net:
        net.p = nengo.Probe(net.mtr.output)
    return net
