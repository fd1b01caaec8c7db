"""Generators and data sets: what is wrong with them is said before Keras sees it."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import configure_settings

pytestmark = [pytest.mark.training, pytest.mark.long]

X, STEPS = np.ones((4, 3, 1), np.float32), np.full((4, 1), 3, np.int32)


@pytest.fixture(scope="module")
def one_node(Simulator):
    with nengo.Network(seed=0) as net:
        inp, out = nengo.Node([1.0], label="a"), nengo.Node(size_in=1)
        nengo.Connection(inp, out, transform=0.5, synapse=None)
        nengo.Probe(out, label="p")
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        yield sim


@pytest.fixture
def sim(one_node):
    """Return a simulator at its start, which other tests have used before."""
    yield one_node
    one_node.reset()


def as_generator(*batches):
    yield from batches


def as_dataset(batch):
    return tf.data.Dataset.from_tensors(batch)


GOOD = ({"a": X, "n_steps": STEPS}, {"p": X})
BAD = [
    (({"n_steps": STEPS}, X), r"Must specify 'a' .* \(received \['n_steps'\]\)"),
    ((X[:, 0], X), r"shape \(4, 1\) for 'a'"),
    (({"c": X, "n_steps": STEPS}, X), r"Must specify 'a' .*\['c', 'n_steps'\]"),
    ((np.ones((5, 3, 1)), np.ones((5, 3, 1))), "at most 4 items, .* one had 5"),
    ((X[:0], X[:0]), "at least one; one had 0"),
    (({"a": X[:, 0, 0], "n_steps": STEPS}, X), r"shape \(4,\) for 'a'"),
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
            (X, STEPS + 3, "items of 6 steps, but data of 3 steps"),
            (X[:, :2], STEPS - 1, "must be evenly divisible"),
            (X, STEPS - 3, "integers of at least 1"),
            (X, STEPS + np.arange(4)[:, None], "items of 6 steps, but data of 3"),
        ):
            with pytest.raises(ValidationError, match=message):
                sim.predict(as_generator({"a": x, "n_steps": steps}), verbose=0)


def test_bad_batches_later(sim):
    """The exception arrives as it is, and the state as it was."""
    (node,) = (node for node in sim.model.toplevel.nodes if node.size_in == 0)
    before = sim.predict({node: X}, verbose=0)
    with pytest.raises(ValidationError, match="Must specify 'a'"):
        sim.fit(as_generator(GOOD, GOOD, GOOD, ({"n_steps": STEPS}, X)), verbose=0)
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


# -- what is checked for arrays --------------------------------------------------------


class Batches(keras.utils.PyDataset):
    """A data set of Keras, of given batches."""

    def __init__(self, *batches, **kwargs):
        super().__init__(**kwargs)
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def as_unknown_dataset(*batches):
    """A data set that knows of its batches as little as possible, neither how many."""
    signature = tf.nest.map_structure(
        lambda a: tf.TensorSpec([None] * np.ndim(a), np.asarray(a).dtype), batches[0]
    )
    return tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=signature
    )


STREAMS = {
    "generator": as_generator,
    "data set": as_unknown_dataset,
    "PyDataset": Batches,
    "threads": lambda *batches: Batches(*batches, workers=2),
}
NAN = np.where(np.arange(3)[:, None] == 2, np.nan, X)


def two(**kwargs):
    """Return a batch for the network with two Nodes."""
    x = {"a": X, "b": X, "n_steps": STEPS, **kwargs.get("x", {})}
    return x, kwargs.get("y", {"p": X})


WRONG = {
    "infinite": (two(x={"a": np.inf * X}), "Data for 'a' contain infinite"),
    "large": (
        two(x={"b": 1e300 * X.astype(float)}),
        r"1e\+300, which would be infinite in float32",
    ),
    "large target": (two(y={"p": -1e300 * X.astype(float)}), "'p' contain -1e\\+300"),
    "NaN": (two(x={"b": NAN}), "Data for 'b' contain NaN"),
    "unequal steps": (
        two(x={"b": X[:, :2]}),
        "different number of timesteps|items of 3 steps, but data of 2",
    ),
    "n_steps": (
        two(x={"n_steps": STEPS + 1}),
        "There are items of 4 steps, but data of 3",
    ),
    "items": (
        tuple({k: v[[0] * 5] for k, v in part.items()} for part in two()),
        r"at most 4 items, .* one had 5. Use `.batch\(4\)`",
    ),
    "input items": (two(x={"b": X[:3]}), r"shape \(3, 3, 1\) for 'b'"),
    "target items": (two(y={"p": X[:3]}), r"shape \(3, 3, 1\) for 'p'"),
    "target steps": (
        two(y={"p": X[:, :2]}),
        "cannot be compared with the output of 'p'",
    ),
    "weights": ((*two(), {"p": np.ones(3)}), "Sample weights for 'p'"),
    "shape of weights": (
        (*two(), np.ones((4, 2))),
        r"\(4, 2\); pass \(4,\), .*\(4, 3\)",
    ),
}
RANKS = {
    "rank": (two(x={"b": X[:, 0, 0]}), "Data for 'b' should have rank 3"),
    "target rank": (two(y={"p": X[:, 0]}), "Targets for 'p' should have rank 3"),
    "name": (two(x={"c": X}), "'c' is not a valid node name"),
    "target name": (two(y={"p": X, "q": X}), "'q' is not a valid probe name"),
    "text": (two(x={"b": X.astype(str)}), "must be numbers"),
}


@pytest.fixture(scope="module")
def sim_of_two(Simulator):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float32")
        a, b = (nengo.Node([1.0], label=label) for label in "ab")
        out = nengo.Node(size_in=1)
        for node in (a, b):
            nengo.Connection(node, out, transform=[[0.5]], synapse=None)
        nengo.Probe(out, label="p")
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        yield sim, tf.optimizers.SGD(0.0)


@pytest.fixture
def two_nodes(sim_of_two):
    """Return a simulator at its start; what was compiled for others serves again."""
    sim, optimizer = sim_of_two
    sim.compile(optimizer, loss="mse")
    yield sim
    sim.reset()


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("wrong", [*WRONG, *RANKS])
@pytest.mark.parametrize("form", STREAMS)
def test_wrong_batches(form, wrong, two_nodes):
    """What is wrong with a later batch is found as well."""
    batch, message = {**WRONG, **RANKS}[wrong]
    make, sim = STREAMS[form], two_nodes
    first = batch if wrong in RANKS else (*two(), {"p": np.ones(4)})[: len(batch)]
    if "large" in wrong:
        # (data sets have one type)
        first = tf.nest.map_structure(lambda a, b: a.astype(b.dtype), first, batch)
    if wrong == "shape of weights":
        first = (*two(), np.ones((4, 3)))
    batches = [first, batch]
    with pytest.raises(ValidationError, match=message):
        sim.fit(make(*batches), verbose=0)
    with pytest.raises(ValidationError, match=message):
        sim.evaluate(make(*batches), verbose=0)
    with pytest.raises(ValidationError, match=message):
        sim.fit([X, X], X, validation_data=make(*batches), verbose=0)
    if "target" not in wrong and "weights" not in wrong:
        with pytest.raises(ValidationError, match=message):
            sim.predict(make(*(batch[0] for batch in batches)), verbose=0)
    assert sim.evaluate(make(two()), verbose=0)["loss"] == 0


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("form", ["generator", "PyDataset"])
def test_objects_as_keys(form, two_nodes):
    sim = two_nodes
    a, b = sim.model.toplevel.nodes[:2]
    (probe,) = sim.model.toplevel.all_probes
    x, y = {a: X, b: 0 * X, "n_steps": STEPS}, {probe: X}
    batch, make = (x, y, {probe: np.full(4, 2.0)}), STREAMS[form]
    assert sim.evaluate(make(batch), verbose=0)["loss"] == 0.5
    assert sim.fit(make(batch), verbose=0).history["loss"] == [0.5]
    history = sim.fit([X, X], X, validation_data=make(batch), verbose=0).history
    assert history["val_loss"] == [0.5]
    assert np.all(sim.predict(make(x), verbose=0)[probe] == 0.5)
    with pytest.raises(ValidationError, match="two arrays for 'a'"):
        sim.predict(make({**x, "a": X}), verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("form", STREAMS)
def test_number_of_steps_of_the_data(form, two_nodes):
    """Batches need no number of steps of their own, if a Node has data."""
    sim, make = two_nodes, STREAMS[form]
    (probe,) = sim.model.toplevel.all_probes
    for x in ({"a": X, "b": 2 * X}, (X, 2 * X), (X, 2 * X, STEPS)):
        batch = (x, 0 * X)
        assert sim.evaluate(make(batch), verbose=0)["loss"] == 2.25
        history = sim.fit(make(batch), validation_data=make(batch), verbose=0).history
        assert history["loss"] == history["val_loss"] == [2.25]
        # (what is not in a tuple is one input)
        output = sim.predict(make((x,)), verbose=0)[probe]
        np.testing.assert_array_equal(output, 1.5 * X)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_number_of_steps_without_data(Simulator):
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node(size_in=1))
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        output = sim.predict(as_generator({"n_steps": STEPS}), verbose=0)[probe]
        assert output.shape == (4, 3, 1)
        with pytest.raises(ValidationError, match="Must specify 'n_steps', of shape"):
            sim.predict(as_generator({}), verbose=0)


# -- the end of the data ---------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("n_batches", [1, 3])
def test_nothing_is_counted_at_the_end(n_batches, form, two_nodes):
    """Finding that there is no more data is not one more batch."""
    sim, make = two_nodes, STREAMS[form]
    batches = [two(y={"p": 0 * X})] * n_batches
    gap = keras.metrics.MeanMetricWrapper(lambda t, p: tf.ones(()), name="gap")
    optimizer = tf.optimizers.SGD(0.0)
    sim.compile(optimizer, loss="mse", metrics={"p": ["mse", gap]})
    expected = {"loss": 1, "p_loss": 1, "p_mse": 1, "p_gap": 1}
    assert sim.evaluate(make(*batches), verbose=0) == expected
    history = sim.fit(
        make(*batches), validation_data=make(*batches), stateful=True, verbose=0
    ).history
    assert {name: value for name, (value,) in history.items()} == {
        **expected,
        **{f"val_{name}": value for name, value in expected.items()},
    }
    assert optimizer.iterations.numpy() == n_batches
    assert sim.n_steps == 2 * n_batches * 3
