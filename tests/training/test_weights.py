"""Sample weights: their forms, and their shapes."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import configure_settings
from nengo_dl.losses import Regularize
from nengo_dl.training.weights import (
    check_weights_fit,
    class_weights,
    weights_by_name,
)

pytestmark = [pytest.mark.training, pytest.mark.long]

PROBES = {nengo.Node(add_to_container=False): name for name in "pq"}


@pytest.mark.parametrize(
    "weights, used, message",
    [
        (2.0, "pq", r"must be an array, .* \(received 2.0\)"),
        ("a", "pq", "must be an array"),
        ({"q": np.ones(4)}, "p", r"sample weights for \['q'\], but no loss"),
        ([np.ones(4), np.ones(4)], "p", r"sample weights for \['q'\]"),
        (np.ones(4), "", r"sample weights for \['p', 'q'\]"),
        ({"r": np.ones(4)}, "p", "not a valid probe name"),
    ],
)
def test_bad_forms(weights, used, message):
    with pytest.raises(ValidationError, match=message):
        weights_by_name(weights, PROBES, list(used))


def test_forms():
    weights = np.ones(4)
    assert weights_by_name(None, PROBES, ["p"]) == {}
    assert weights_by_name(weights, PROBES, ["q"]) == {"q": weights}
    assert weights_by_name([None, weights], PROBES, ["q"]) == {"q": weights}


@pytest.mark.parametrize(
    "shape, values, fits",
    [
        ((4,), (4, 5), True),
        ((4, 5), (4, 5), True),
        ((4, 1), (4, 5), True),
        ((4, 5, 1), (4, 5), True),
        ((4, 3), (4, 5), False),
        ((4, 3), (4, 1), False),
        ((4, 5, 2), (4, 5), False),
        ((4, 5), (4,), False),
        ((4, 1), (), True),
        ((4, 5), (), False),
        ((None, 5), (None, None), True),
    ],
)
def test_shapes(shape, values, fits):
    if fits:
        check_weights_fit("p", shape, values)
        return
    with pytest.raises(ValidationError, match=r"'p' have shape .*; pass \(4,\)"):
        check_weights_fit("p", shape, values)


@pytest.mark.parametrize("n_steps", [1, 5])
def test_weights_of_other_shapes(n_steps, Simulator):
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([1.0, 2.0], label="a"), label="out")
    x = np.ones((4, n_steps, 2))

    def last(y_true, y_pred):
        return tf.reduce_mean((y_true[:, -1] - y_pred[:, -1]) ** 2, axis=-1)

    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        for loss, bad in (
            ("mse", [(4, 3), (4, n_steps, 2), (4, 3, 1)]),
            (last, [(4, 3)]),
        ):
            sim.compile("sgd", loss=loss)
            for shape in bad:
                weights = np.ones(shape)
                for call in (
                    lambda w: sim.evaluate(x, x, sample_weight=w, verbose=0),
                    lambda w: sim.fit(x, x, sample_weight=w, verbose=0),
                    lambda w: sim.fit(x, x, validation_data=(x, x, w), verbose=0),
                ):
                    with pytest.raises(ValidationError, match="'out' have shape"):
                        call(weights)
        with pytest.raises(ValidationError, match="NaN or infinite"):
            sim.evaluate(x, x, sample_weight=np.full(4, np.nan), verbose=0)
        weights = np.array([4.0, 0, 0, 0])
        result = sim.evaluate(x, 0 * x, sample_weight=weights, verbose=0)
        assert result["loss"] == pytest.approx(1)
        # what has no targets has no weights
        sim.compile(loss={probe: Regularize()})
        with pytest.raises(ValidationError, match=r"sample weights for \['out'\]"):
            sim.evaluate(x, sample_weight=weights, verbose=0)
        sim.compile(metrics={probe: "mse"})
        with pytest.raises(ValidationError, match="no loss or weighted metric"):
            sim.evaluate(x, x, sample_weight=weights, verbose=0)


LABELS = np.array([[0, 1], [2, 2], [1, 0]])
BY_CLASS = np.array([1.0, 2.0, 5.0])


def cross_entropy_of(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
    return -np.log(np.take_along_axis(probabilities, LABELS[..., None], -1)[..., 0])


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("form", ["arrays", "one-hot", "generator", "data set"])
def test_class_weights(form, Simulator):
    """Every step weighs as much as its class, and its item."""
    with nengo.Network() as net:
        configure_settings(dtype="float64")
        node = nengo.Node(np.zeros(3), label="a")
        out = nengo.Node(size_in=3)
        nengo.Connection(node, out, transform=np.eye(3), synapse=None)
        nengo.Probe(out, label="p")
    x = np.random.RandomState(0).normal(size=(3, 2, 3))
    y, loss = LABELS[..., None], tf.losses.SparseCategoricalCrossentropy(True)
    if form == "one-hot":
        y, loss = np.eye(3)[LABELS], tf.losses.CategoricalCrossentropy(True)
    items = np.array([1.0, 0.5, 2.0])
    expected = np.mean(cross_entropy_of(x) * BY_CLASS[LABELS] * items[:, None])

    def batches():
        for i in (0, 2):
            yield {"a": x[i : i + 2]}, {"p": y[i : i + 2]}, items[i : i + 2]

    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        # (the functions of the other forms are the same, XLA or not)
        jit_compile = "auto" if form == "arrays" else False
        sim.compile(tf.optimizers.SGD(0.0), loss=loss, jit_compile=jit_compile)
        weights = {1: 2.0, np.int64(2): 5}
        if form == "generator":
            data = (batches(),)
        elif form == "data set":
            parts = ({"a": x}, {"p": y}, items)
            data = (tf.data.Dataset.from_tensor_slices(parts).batch(2),)
        else:
            data = (x, y)
        kwargs = {"sample_weight": items} if len(data) == 2 else {}
        history = sim.fit(
            *data, class_weight=weights, validation_data=(x, y), verbose=0, **kwargs
        ).history
        np.testing.assert_allclose(history["loss"], expected)
        # as in Keras, not in validation
        np.testing.assert_allclose(history["val_loss"], np.mean(cross_entropy_of(x)))
        for bad, message in (
            ([1.0, 2.0], r"a dictionary .*\(received `list`\)"),
            ({3: 1.0}, "There is no class 3: .* from 0 to 2"),
            ({"a": 1.0}, "There is no class 'a'"),
            ({0: -1.0}, r"at least 0 \(received -1.0 for class 0\)"),
        ):
            with pytest.raises(ValidationError, match=message):
                sim.fit(x, y, class_weight=bad, verbose=0)


def test_weights_of_no_classes():
    for losses, sizes in (({"p", "q"}, {}), (set(), {}), ({"p"}, {"p": 1})):
        with pytest.raises(ValidationError, match="Classes can have weights if"):
            class_weights({0: 1.0}, losses, sizes)
