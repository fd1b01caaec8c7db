"""Sample weights: their forms, and their shapes."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.losses import Regularize
from nengo_dl.training.weights import check_weights_fit, weights_by_name

pytestmark = pytest.mark.training

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
