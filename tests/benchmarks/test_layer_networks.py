import math

import nengo
import numpy as np
import pytest
import scipy.linalg

from nengo_dl import benchmarks
from nengo_dl.benchmarks.layer_networks import matrix_exponential, memory_matrices


@pytest.mark.parametrize("use_tensor_layer, nodes, ensembles", [(1, 7, 3), (0, 2, 0)])
def test_digits(use_tensor_layer, nodes, ensembles):
    net = benchmarks.mnist(use_tensor_layer=use_tensor_layer)
    assert len(net.all_nodes) == nodes
    assert len(net.all_ensembles) == ensembles
    assert net.inp.size_out == 784
    assert net.p.size_in == 10


@pytest.mark.parametrize("theta, input_d", [(1000, 1), (6, 2)])
def test_memory_unit(theta, input_d, Simulator):
    """Both forms compute the same, from the same weights."""
    in_layers = benchmarks.lmu(theta, input_d, dtype="float64")
    native = benchmarks.lmu(theta, input_d, native_nengo=True, dtype="float64")
    assert in_layers.inp.size_out == theta * input_d
    assert native.inp.size_out == input_d
    assert in_layers.p.size_in == native.p.size_in == 10

    x = np.random.RandomState(0).normal(size=(1, theta, input_d))
    layers = [n.tensor_func for n in in_layers.nodes if hasattr(n, "tensor_func")]
    is_short = theta < 10
    with Simulator(in_layers, unroll_simulation=1) as sim:
        weights = [w for layer in layers for w in layer.get_weights()]
        weights[2][:] = 0.1
        layers[0].set_weights(weights[:6])
        if is_short:
            expected = sim.predict(x.reshape(1, 1, -1), verbose=0)[in_layers.p][0, -1]
        if not sim.tensor_graph.inference_only:
            trained = sim.keras_model.trainable_weights
            n_trained = sum(math.prod(w.shape) for w in trained)
            assert n_trained == 102017 + (input_d - 1) * 213
    learned = [c for c in native.connections if native.config[c].trainable is None]
    assert sum(w.size for w in weights) == 102017 + (input_d - 1) * 213
    assert len(learned) == len(weights)
    for conn, w in zip(learned, weights):
        conn.transform = w.T
    if is_short:
        with Simulator(native, unroll_simulation=1) as sim:
            value = sim.predict(x, verbose=0)[native.p][0, -1]
        assert np.allclose(value, expected, rtol=0, atol=1e-10)


def test_memory():
    """The sum of the memory is the input some time ago (Legendre polynomials at 1)."""
    a, b = memory_matrices(40.0)
    u = np.sin(0.1 * np.arange(200))
    m = np.zeros((len(b), 1))
    sums = []
    for value in u:
        m = a @ m + b * value
        sums.append(m.sum())
    assert np.allclose(sums[100:], u[60:160], atol=0.06)


def test_matrix_exponential():
    matrix = np.random.RandomState(0).normal(size=(30, 30))
    expected = scipy.linalg.expm(matrix)
    assert np.allclose(matrix_exponential(matrix), expected, rtol=1e-10, atol=1e-10)
    assert (matrix_exponential(np.zeros((3, 3))) == np.eye(3)).all()


def test_spaun():
    """It is a package of other people, without which there is an error."""
    with pytest.raises(ImportError, match="needs Spaun 2.0, whose package `_spaun`"):
        benchmarks.spaun(16)


def test_commands():
    obj = {}
    arguments = ["build", "--benchmark", "mnist", "--kwarg", "use_tensor_layer=0"]
    with pytest.raises(SystemExit):
        benchmarks.main(arguments, obj)
    assert isinstance(obj["net"], nengo.Network)
    assert obj["net"].label == "mnist"
