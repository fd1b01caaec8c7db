"""Generators and data sets: what is wrong with them is said before Keras sees it."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

pytestmark = pytest.mark.training

X, STEPS = np.ones((4, 3, 1), np.float32), np.full((4, 1), 3, np.int32)


@pytest.fixture
def sim(Simulator):
    with nengo.Network(seed=0) as net:
        inp, out = nengo.Node([1.0], label="a"), nengo.Node(size_in=1)
        nengo.Connection(inp, out, transform=0.5, synapse=None)
        nengo.Probe(out, label="p")
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        yield sim


def as_generator(*batches):
    yield from batches


def as_dataset(batch):
    return tf.data.Dataset.from_tensors(batch)


GOOD = ({"a": X, "n_steps": STEPS}, {"p": X})
BAD = [
    (({"a": X}, X), r"Must specify 'n_steps', of shape .* \(received \['a'\]\)"),
    ((X, X), "Must specify 'n_steps'"),
    (({"c": X, "n_steps": STEPS}, X), r"Must specify 'a' .*\['c', 'n_steps'\]"),
    (({"a": X[:2], "n_steps": STEPS[:2]}, X[:2]), r"\(2, 3, 1\) for 'a'; .*\(4, None"),
    (({"a": X[:, 0], "n_steps": STEPS}, X), r"shape \(4, 1\) for 'a'"),
    (({"a": X[..., [0, 0]], "n_steps": STEPS}, X), r"shape \(4, 3, 2\) for 'a'"),
    (({"a": X, "n_steps": STEPS[:, 0]}, X), r"shape \(4,\) for 'n_steps'"),
    (({"a": X, "n_steps": STEPS}, {"q": X}), r"Must specify 'p' .*all targets .*\['q'"),
    (({"a": X, "n_steps": STEPS}, X[:2]), r"shape \(2, 3, 1\) for 'p'"),
    (({"a": X, "n_steps": STEPS},), "Must specify 'p'"),
]


@pytest.mark.parametrize("batch, message", BAD)
@pytest.mark.parametrize("make", [as_generator, as_dataset])
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_bad_batches(method, make, batch, message, sim):
    with pytest.raises(ValidationError, match=message):
        getattr(sim, method)(make(batch), verbose=0)
    # and the next call is none the worse for it
    steps = {"steps_per_epoch" if method == "fit" else "steps": 1}
    getattr(sim, method)(make(GOOD), verbose=0, **steps)


@pytest.mark.parametrize("batch, message", BAD[:7])
@pytest.mark.parametrize("make", [as_generator, as_dataset])
def test_bad_batches_in_prediction(make, batch, message, sim):
    with pytest.raises(ValidationError, match=message):
        sim.predict(make(batch[0]), verbose=0)
    (output,) = sim.predict(make(GOOD[0]), steps=1, verbose=0).values()
    np.testing.assert_array_equal(output, 0.5 * X)


def test_bad_numbers_of_steps(Simulator):
    """What a generator yields is known, not only its shape."""
    with nengo.Network() as net:
        nengo.Probe(nengo.Node([1.0], label="a"))
    with Simulator(net, minibatch_size=4, unroll_simulation=3) as sim:
        for x, steps, message in (
            (X, STEPS + 3, "does not match the number of steps"),
            (X[:, :2], STEPS - 1, "must be evenly divisible"),
            (X, STEPS + np.arange(4)[:, None], "same value for all items"),
        ):
            with pytest.raises(ValidationError, match=message):
                sim.predict(as_generator({"a": x, "n_steps": steps}), verbose=0)


def test_bad_batches_later(sim):
    """The exception arrives as it is, and the state as it was."""
    (node,) = (node for node in sim.model.toplevel.nodes if node.size_in == 0)
    before = sim.predict({node: X}, verbose=0)
    with pytest.raises(ValidationError, match="Must specify 'n_steps'"):
        sim.fit(as_generator(GOOD, GOOD, GOOD, (X, X)), verbose=0)
    for probe, value in sim.predict({node: X}, verbose=0).items():
        np.testing.assert_array_equal(value, before[probe])


@pytest.mark.parametrize("n_batches", [0, 1, 4])
def test_exceptions_of_generators(n_batches, sim):
    def batches():
        for _ in range(n_batches):
            yield GOOD
        raise LookupError("no more")

    with pytest.raises(LookupError, match="^'?no more"):
        sim.fit(batches(), verbose=0)
