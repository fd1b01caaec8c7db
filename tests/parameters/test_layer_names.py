"""Names of weights, which do not depend on what Keras has made before."""

import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.parameters.layer_names import weight_names

layers = keras.layers


class Custom(layers.Layer):
    def build(self, input_shape):
        self.inner = layers.Dense(2)
        self.inner.build(input_shape)
        self.scale = self.add_weight(name="scale")

    def call(self, x):
        return self.scale * self.inner(x)


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def test_names_and_keys():
    for _ in range(2):
        names, keys = weight_names(built(layers.Dense(2), 3))
        assert names == keys == ["kernel", "bias"]
        model = keras.Sequential([layers.Dense(2), layers.Dense(2, name="out'put")])
        names, keys = weight_names(built(model, 3))
        assert names == keys
        assert names[::2] == ["dense/kernel", "out%27put/kernel"]
        model = keras.Sequential([layers.Dense(2), Custom(), Custom(), layers.Dense(2)])
        names, keys = weight_names(built(model, 3))
        expected = ["scale", "dense/kernel", "dense/bias"]
        assert sorted(names) == sorted(
            [f"custom{i}/{name}" for i in ("", "_1") for name in expected]
            + [f"dense{i}/{name}" for i in ("", "_1") for name in ("kernel", "bias")]
        )
        assert keys == [f"weights[{i}]" for i in range(len(names))]
        nested = keras.Sequential([model, layers.Dense(1, name="b")])
        names, keys = weight_names(built(nested, 3))
        assert names[0] == "sequential/dense/kernel" and keys[-1] == "b/bias"
    model = keras.Sequential([layers.Dense(2, name=f"hidden_{i}") for i in (2, 1)])
    names, keys = weight_names(built(model, 3))
    assert names[::2] == ["hidden_2/kernel", "hidden_1/kernel"]
    assert keys[0] == "weights[0]"


def make(names, seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([layers.Dense(2, name=name) for name in names])
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=False)
        inp = nengo.Node([1, 2])
        nengo.Probe(nengo_dl.Layer(model)(inp))
    return net, model


@pytest.mark.parametrize(
    "names, others, order",
    [
        ((None, None), (None, None), (0, 1)),
        (("a", "b"), ("a", "b"), (0, 1)),
        (("a", "b"), ("b", "a"), (1, 0)),
        (("a", "b"), ("c", "d"), (0, 1)),
    ],
)
def test_layers_are_recognised(names, others, order, Simulator, tmp_path):
    """By the names that users gave them, and else by their positions."""
    net, model = make(names, 0)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
        saved = [layer.get_weights() for layer in model.layers]
        name = "dense/kernel" if names[0] is None else "a/kernel"
        assert (sim.export_params()["nodes[1]"][name] == saved[0][0]).all()
    with np.load(tmp_path / "params.npz") as archive:
        assert (archive[f"nodes[1].{name}"] == saved[0][0]).all()
    net, model = make(others, 1)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "params")
    for layer, i in zip(model.layers, order):
        assert (layer.get_weights()[0] == saved[i][0]).all()


def test_early_files(Simulator, tmp_path):
    """They have positions in place of names."""
    net, model = make((None, "b"), 0)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
        saved = model.get_weights()
    with np.load(tmp_path / "params.npz") as archive:
        arrays = dict(archive)
    text = arrays["nengo_dl"].item()
    for i, name in enumerate(["dense/kernel", "dense/bias", "b/kernel", "b/bias"]):
        arrays[f"nodes[1].weights[{i}]"] = arrays.pop(f"nodes[1].{name}")
        text = text.replace(f"nodes[1].{name}", f"nodes[1].weights[{i}]")
    arrays["nengo_dl"] = np.array(text)
    np.savez(tmp_path / "early.npz", **arrays)
    net, model = make((None, "b"), 1)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "early")
    for value, expected in zip(model.get_weights(), saved):
        assert (value == expected).all()
