"""Files of NengoDL 3, by what NengoDL 3.6 wrote for the same networks."""

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import assert_unchanged, live_arrays, small_network

import nengo_dl
from nengo_dl.config import configure_settings

ASSUMED = pytest.warns(UserWarning, match="known by nothing but their order")


def numbers(*shapes, start=1.0):
    """Return arrays of numbers that differ everywhere."""
    arrays = []
    for shape in shapes:
        arrays.append(start + np.arange(np.prod(shape)).reshape(shape))
        start += arrays[-1].size
    return arrays


def load(Simulator, net, path, arrays):
    np.savez_compressed(path.with_suffix(".npz"), *arrays)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.load_params(path)
        return sim.export_params()


def test_by_shape(Simulator, tmp_path):
    net = small_network()
    with net:
        nengo.Ensemble(3, 1)  # without input, it has no encoders in the program
    bias, encoders, other, weights = arrays = numbers((5,), (5, 1), (3,), (1,))
    params = load(Simulator, net, tmp_path / "old", arrays)
    assert (params["ensembles[0]"]["bias"] == bias).all()
    assert (params["ensembles[0]"]["scaled_encoders"] == encoders).all()
    assert (params["ensembles[1]"]["bias"] == other).all()
    assert params["nodes[0] -> ensembles[0]"]["weights"] == weights


def chain(sizes, seed=0, dims=1):
    with nengo.Network(seed=seed) as net:
        obj = nengo.Node(np.ones(dims))
        for n in sizes:
            ens = nengo.Ensemble(n, dims)
            nengo.Connection(obj, ens, transform=np.eye(dims))
            obj = ens
        out = nengo.Node(size_in=dims)
        nengo.Connection(obj, out, transform=np.eye(dims))
        nengo.Probe(out)
    return net


def test_merged(Simulator, tmp_path):
    """Biases of all ensembles are in one array, the largest ensemble first."""
    shapes = [(60,), (30, 1), (1, 30), (20, 1), (1, 20), (10, 1), (1, 10), (1, 1)]
    arrays = numbers(*shapes)
    with ASSUMED:
        params = load(Simulator, chain([10, 20, 30]), tmp_path / "old", arrays)
    for i, rows in enumerate([slice(50, 60), slice(30, 50), slice(30)]):
        ens = params[f"ensembles[{i}]"]
        assert (ens["bias"] == arrays[0][rows]).all()
        assert (ens["scaled_encoders"] == arrays[5 - 2 * i]).all()
    assert (params["ensembles[0] -> ensembles[1]"]["weights"] == arrays[6]).all()
    assert (params["ensembles[2] -> nodes[1]"]["weights"] == arrays[2]).all()


def test_network_with_the_same_seed(Simulator, tmp_path):
    """Values that look like those that were built confirm the order, or do not."""
    net = chain([10, 20, 30], dims=2)
    with nengo.Simulator(net, progress_bar=False) as sim:
        ens = net.ensembles
        bias = np.concatenate([sim.data[e].bias for e in reversed(ens)])
        rest = [sim.data[e].scaled_encoders for e in ens]
        rest += [sim.data[c].weights for c in net.connections[1:]]
        rest += [np.eye(2)]
    noise = 0.05 * bias.std() * np.random.RandomState(0).normal(size=bias.shape)
    params = load(Simulator, net, tmp_path / "old", [bias + noise, *rest])
    assert np.allclose(params["ensembles[0]"]["bias"], (bias + noise)[50:])
    others = np.concatenate([bias[30:], bias[:30]])
    with pytest.raises(SimulationError, match="bias are not where they would be"):
        load(Simulator, net, tmp_path / "old", [others, *rest])


def test_order_that_is_not_known(Simulator, tmp_path):
    """NengoDL 3.6 has the largest ensemble first, and we the two that are alike."""
    net = chain([10, 20, 30, 10, 20], dims=2)
    shapes = [(90,), (40, 2), (4, 20), (30, 2), (2, 30), (20, 2), (4, 10), (2, 2)]
    with pytest.raises(SimulationError, match="order of ens.* is not known.*script"):
        load(Simulator, net, tmp_path / "old", numbers(*shapes))


def test_layers(Simulator, tmp_path):
    """Nengo's arrays come first; then what is trained of layers; then what is not."""
    with nengo.Network(seed=0) as net:
        x = nengo.Node(np.ones(6))
        for layer in (
            keras.layers.Dense(5),
            nengo.RectifiedLinear(),
            keras.layers.BatchNormalization(),
            nengo.LIF(),
            keras.layers.Dense(5, use_bias=False),
        ):
            x = nengo_dl.Layer(layer)(x)
        nengo.Probe(x)
    arrays = numbers((10,), (6, 5), (5,), (5,), (5,), (5, 5), (5,), (5,))
    with ASSUMED:
        params = load(Simulator, net, tmp_path / "old", arrays)
    assert (params["ensembles[0]"]["bias"] == arrays[0][:5]).all()
    assert (params["ensembles[1]"]["bias"] == arrays[0][5:]).all()
    names = ["nodes[1].kernel", "nodes[1].bias", "nodes[2].gamma", "nodes[2].beta"]
    names += ["nodes[3].kernel", "nodes[2].moving_mean", "nodes[2].moving_variance"]
    for name, expected in zip(names, arrays[1:]):
        node, _, attr = name.partition(".")
        assert (params[node][attr] == expected).all()


def converted(n_channels, **kwargs):
    inp = x = keras.Input((12, 12, 1))
    for n in n_channels:
        x = keras.layers.Conv2D(n, 3, strides=2, activation="relu")(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    return nengo_dl.Converter(keras.Model(inp, x), **kwargs).net


@pytest.mark.parametrize("inference_only", [False, True])
def test_converted_networks(inference_only, Simulator, tmp_path):
    """Biases had another form, and constants are others."""
    net = converted([4, 6], inference_only=inference_only)
    shapes = [(3, 3, 4, 6), (10, 6), (3, 3, 1, 4), (10, 1), (6, 1), (4, 1)]
    arrays = numbers(*shapes)
    pooling = np.tile(np.eye(6) / 4, (2, 2, 1, 1))
    constants = [np.ones(154), pooling]
    arrays = constants + arrays if inference_only else arrays + constants
    params = load(Simulator, net, tmp_path / "old", arrays)
    weights = [w["weights"] for name, w in params.items() if "->" in name]
    for array in numbers(*shapes):
        assert any(
            value.size == array.size and (value.ravel() == array.ravel()).all()
            for value in weights
        )
    assert all((params[name]["bias"] == 0).all() for name in params if "->" not in name)
    with pytest.raises(SimulationError, match="can be no parameter"):
        load(Simulator, net, tmp_path / "old", [*arrays, np.full(7, 3.0)])


def test_learned(Simulator, tmp_path):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(12, 1)
        nengo.Connection(inp, pre)
        conns = [
            nengo.Connection(pre, post, learning_rule_type=nengo.PES())
            for _ in range(2)
        ]
        for conn in conns:
            nengo.Connection(inp, conn.learning_rule)
        nengo.Probe(post)
    arrays = numbers((22,), (12, 1), (10, 1), (1, 2, 10))
    with ASSUMED:
        params = load(Simulator, net, tmp_path / "old", arrays)
    for i, name in enumerate(["", " [1]"]):
        weights = params[f"ensembles[0] -> ensembles[1]{name}"]["weights"]
        assert (weights == arrays[3][0, i]).all()


def test_files_that_do_not_fit(Simulator, tmp_path):
    bias, encoders, weights = arrays = numbers((5,), (5, 1), (1,))
    nan = np.where(bias == 2, np.nan, bias)
    with Simulator(small_network(), unroll_simulation=1) as sim:
        before = live_arrays(sim)
        for others, message in [
            ([*arrays, np.zeros(7)], r"arrays of shape .* can be ensembles\[0\]\.bias"),
            ([bias, encoders], "there is no array for nodes"),
            ([bias, encoders, np.full((2, 2), 5)], "no parameter|no array for"),
            ([np.zeros(4), encoders, weights], r"the array of shape \(4,\) can be ens"),
            ([nan, encoders, weights], "has NaN"),
            ([bias.astype("U"), encoders, weights], "array of <U"),
            ([bias + 1j, encoders, weights], "array of complex"),
            ([bias, encoders, [np.inf]], "infinite"),
        ]:
            np.savez(tmp_path / "old.npz", *others)
            with pytest.raises(SimulationError, match=f"NengoDL 3.*{message}"):
                sim.load_params(tmp_path / "old")
        assert_unchanged(sim, before)
        np.savez(tmp_path / "old.npz", *arrays)
        with pytest.raises(SimulationError, match="no state"):
            sim.load_params(tmp_path / "old", include_state=True)
        assert_unchanged(sim, before)


def test_what_is_not_trained_comes_last(Simulator, tmp_path):
    with nengo.Network(seed=0) as net:
        configure_settings(trainable=None, dtype="float32")
        inp = nengo.Node([1])
        for n in (8, 9):
            ens = nengo.Ensemble(n, 1)
            conn = nengo.Connection(inp, ens.neurons, transform=np.ones((n, 1)) / 3)
            net.config[conn].trainable = n == 9
            nengo.Probe(ens.neurons)
    arrays = numbers((17,), (9, 1))
    # the other one is a constant, with the value that it has here
    arrays += [np.full((8, 1), np.float32(1 / 3))]
    with ASSUMED:
        params = load(Simulator, net, tmp_path / "old", arrays)
    assert (params["ensembles[1]"]["bias"] == arrays[0][:9]).all()
    assert (params["nodes[0] -> ensembles[1].neurons"]["weights"] == arrays[1]).all()
