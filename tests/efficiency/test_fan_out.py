import nengo
import numpy as np
import pytest
from nengo.builder.operator import DotInc, ElementwiseInc, SparseDotInc
from nengo.builder.signal import Signal, SignalDict
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.transforms import ChannelShape, SparseMatrix

from nengo_dl.efficiency.fan_out import fan_out, unweighted_fan_out


def vector(size):
    return Signal(np.zeros(size))


def test_matrix():
    W = np.array([[1.0, 0, 2], [0, 0, 3]])
    result = fan_out(DotInc(Signal(W), vector(3), vector(2)), W != 0)
    assert result.synapses.tolist() == [1, 0, 2]
    assert (result.n_dense, result.n_weights) == (6, 6)
    assert (result.n_zeros, result.n_possible) == (3, 6)


def test_diagonal():
    W = np.array([1.0, 0, 2])
    result = fan_out(ElementwiseInc(Signal(W), vector(3), vector(3)), W != 0)
    assert result.synapses.tolist() == [1, 0, 1]
    assert (result.n_dense, result.n_weights, result.n_zeros) == (3, 3, 1)


def test_scalar():
    W = np.array(2.0)
    result = fan_out(ElementwiseInc(Signal(W), vector(3), vector(3)), W != 0)
    assert result.synapses.tolist() == [1, 1, 1]
    assert (result.n_dense, result.n_weights, result.n_zeros) == (3, 1, 0)


def test_sparse_matrix():
    matrix = SparseMatrix([[0, 0], [1, 3], [0, 3]], [1.0, 2.0, 0.0], (2, 4))
    op = SparseDotInc(Signal(matrix), vector(4), vector(2))
    result = fan_out(op, np.array([True, True, False]))
    assert result.synapses.tolist() == [1, 0, 0, 1]
    assert (result.n_dense, result.n_weights) == (3, 3)
    assert (result.n_zeros, result.n_possible) == (6, 8)


def test_no_weights():
    result = unweighted_fan_out(3, is_spiking=True)
    assert result.synapses.tolist() == [1, 1, 1]
    assert (result.n_dense, result.n_weights, result.n_zeros) == (3, 0, 0)
    result = unweighted_fan_out(3, is_spiking=False)
    assert result.synapses.tolist() == [0, 0, 0]
    assert (result.n_dense, result.n_weights, result.n_possible) == (0, 0, 0)


def convolution_operator(conv, kernel):
    cls = ConvTransposeInc
    if isinstance(conv, nengo.Convolution):
        cls = ConvInc
    return cls(Signal(kernel), vector(conv.size_in), vector(conv.size_out), conv)


def test_borders_by_hand():
    conv = nengo.Convolution(2, (4, 1), (3,), strides=(1,), padding="same")
    op = convolution_operator(conv, np.ones((3, 1, 2)))
    result = fan_out(op, np.ones((3, 1, 2), bool))
    # three positions in the middle, two at the borders, and two filters
    assert result.synapses.tolist() == [4, 6, 6, 4]
    assert (result.n_dense, result.n_weights) == (20, 6)

    conv = nengo.Convolution(1, (5, 1), (2,), strides=(2,), padding="valid")
    op = convolution_operator(conv, np.ones((2, 1, 1)))
    result = fan_out(op, np.array([True, False]).reshape(2, 1, 1))
    assert result.synapses.tolist() == [1, 0, 1, 0, 0]
    assert (result.n_dense, result.n_zeros) == (4, 1)


CONVOLUTIONS = {
    "valid": nengo.Convolution(3, (4, 5, 2), (3, 2)),
    "same": nengo.Convolution(2, (4, 5, 2), (3, 2), padding="same"),
    "strides": nengo.Convolution(2, (5, 6, 1), (2, 3), (2, 3), padding="same"),
    "large kernel": nengo.Convolution(1, (2, 3, 1), (4, 5), padding="same"),
    "groups": nengo.Convolution(4, (3, 3, 2), (2, 2), groups=2),
    "channels first": nengo.Convolution(
        2, ChannelShape((3, 4, 3), channels_last=False), (2, 2), channels_last=False
    ),
    "one axis": nengo.Convolution(2, (7, 2), (3,), (2,), padding="same"),
    "transpose, valid": nengo.ConvolutionTranspose(2, (3, 2, 2), None, (2, 3)),
    "transpose, same": nengo.ConvolutionTranspose(
        2, (3, 3, 2), None, (3, 2), padding="same"
    ),
    "transpose, strides": nengo.ConvolutionTranspose(
        1, (3, 2, 2), (6, 4, 1), (3, 3), (2, 2), padding="same"
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name, rng):
    """What one element of the input changes in the output of Nengo's operator."""
    conv = CONVOLUTIONS[name]
    kernel = rng.uniform(1, 2, size=conv.kernel_shape)
    kernel[rng.uniform(size=kernel.shape) < 0.3] = 0
    op = convolution_operator(conv, kernel)

    signals = SignalDict()
    op.init_signals(signals)
    step = op.make_step(signals, 0.001, None)
    changed = []
    for i in range(conv.size_in):
        signals[op.X][...] = np.eye(conv.size_in)[i]
        signals[op.Y][...] = 0
        step()
        changed.append(np.count_nonzero(signals[op.Y]))

    result = fan_out(op, kernel != 0)
    assert result.synapses.tolist() == changed
    assert result.n_weights == kernel.size
    assert result.n_zeros == np.count_nonzero(kernel == 0)
