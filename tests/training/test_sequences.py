"""Items of unequal lengths, against each of them alone; inputs that are held."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

import nengo_dl
from nengo_dl.losses import LastStep, TimeMean
from nengo_dl.training.sequences import as_lengths, as_sequences, as_target, padded

pytestmark = [
    pytest.mark.training,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

LENGTHS = np.array([3, 6, 2, 4, 6])
N, N_STEPS = len(LENGTHS), LENGTHS.max()
RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (N, N_STEPS, 1))
Y = RNG.uniform(-1, 1, (N, N_STEPS, 2))
ITEMS = [x[:n] for x, n in zip(X, LENGTHS)]
TARGETS = [y[:n] for y, n in zip(Y, LENGTHS)]


def make_network(keep_history=True, learns=False):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", keep_history=True)
        net.a = nengo.Node([0.0], label="a")
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        net.out = nengo.Node(size_in=2)
        nengo.Connection(net.a, ens, synapse=0.005)
        nengo.Connection(ens, ens, synapse=0.01)
        net.conn = nengo.Connection(
            ens, net.out, function=lambda x: [x, x**2], synapse=0.005
        )
        net.p = nengo.Probe(net.out, label="p")
        if learns:
            net.conn.learning_rule_type = nengo.PES(0.01)
            nengo.Connection(
                net.a, net.conn.learning_rule, transform=[[1], [1]], synapse=None
            )
        net.config[net.p].keep_history = keep_history
    return net


def simulator(net, minibatch_size, unroll=1):
    return nengo_dl.Simulator(
        net,
        minibatch_size=minibatch_size,
        unroll_simulation=unroll,
        progress_bar=False,
    )


@pytest.fixture(scope="module")
def sims():
    """The same network for two items at a time, and for one."""
    net = make_network()
    with simulator(net, 2) as sim, simulator(net, 1) as one:
        net.expected = [one.predict(x[None], verbose=0)[net.p][0] for x in ITEMS]
        net.errors = [out - y for out, y in zip(net.expected, TARGETS)]
        yield net, sim, one


FORMS = {
    "n_steps": lambda a: {"x": X, "n_steps": LENGTHS},
    "in the data": lambda a: {"x": {"a": X, "n_steps": LENGTHS[:, None]}},
    "list": lambda a: {"x": {a: ITEMS}},
    "ragged": lambda a: {"x": tf.ragged.stack(ITEMS)},
    "NaN": lambda a: {
        "x": np.where(np.arange(6)[:, None] < LENGTHS[:, None, None], X, np.nan),
        "n_steps": LENGTHS,
    },
}
FORMS_OF_TARGETS = {
    "n_steps": Y,
    "in the data": Y,
    "list": {"p": TARGETS},
    "ragged": tf.ragged.stack(TARGETS),
    "NaN": np.where(np.arange(6)[:, None] < LENGTHS[:, None, None], Y, np.nan),
}


@pytest.mark.parametrize("form", FORMS)
def test_predict(form, sims):
    net, sim, _ = sims
    outputs = sim.predict(**FORMS[form](net.a), verbose=0)
    assert outputs.lengths.tolist() == LENGTHS.tolist()
    assert outputs[net.p].shape == (N, N_STEPS, 2)
    for output, expected, n in zip(outputs[net.p], net.expected, LENGTHS):
        np.testing.assert_allclose(output[:n], expected, atol=1e-12)
        assert np.isnan(output[n:]).all()


def test_predict_on_batch(sims):
    net, sim, _ = sims
    output = sim.predict_on_batch({net.a: ITEMS[:2]})[net.p]
    np.testing.assert_allclose(output[0, :3], net.expected[0], atol=1e-12)
    assert np.isnan(output[0, 3:]).all() and not np.isnan(output[1]).any()


def mean(values):
    """Every item weighs the same."""
    return np.mean([np.mean(value) for value in values])


@pytest.mark.parametrize("form", FORMS)
def test_losses_and_metrics(form, sims):
    net, sim, _ = sims
    metrics = ["mae", LastStep("mae"), TimeMean("mse", start=-2), TimeMean("mae")]
    sim.compile(tf.optimizers.SGD(0.0), loss="mse", metrics={"p": metrics})
    data = {**FORMS[form](net.a), "y": FORMS_OF_TARGETS[form]}
    results = sim.evaluate(**data, verbose=0)
    errors = net.errors
    expected = {
        "loss": mean(e**2 for e in errors),
        "p_loss": mean(e**2 for e in errors),
        "p_mae": mean(abs(e) for e in errors),
        "p_last_mae": mean(abs(e[-1]) for e in errors),
        "p_time_mean_mse": mean(np.mean(e[-2:], axis=0) ** 2 for e in errors),
        "p_time_mean_mae": mean(abs(np.mean(e, axis=0)) for e in errors),
    }
    assert list(results) == list(expected)
    np.testing.assert_allclose(list(results.values()), list(expected.values()))
    if form == "n_steps":
        history = sim.fit(**data, verbose=0).history
        for name, value in expected.items():
            np.testing.assert_allclose(history[name], [value])
        validation = {"a": ITEMS[:2]}, {"p": TARGETS[:2]}
        history = sim.fit(**data, validation_data=validation, verbose=0).history
        np.testing.assert_allclose(history["val_loss"], mean(e**2 for e in errors[:2]))
        history = sim.fit(**data, shuffle="length", verbose=0).history
        np.testing.assert_allclose(history["loss"], expected["loss"])


def as_generator(*parts):
    for i in range(0, N, 2):
        yield tuple({n: v[i : i + 2] for n, v in part.items()} for part in parts)


def as_dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(2)


def as_ragged_dataset(x, y):
    parts = {"a": tf.ragged.stack(ITEMS)}, {"p": tf.ragged.stack(TARGETS)}
    return tf.data.Dataset.from_tensor_slices(parts).batch(2)


def as_lists(x, y):
    return as_generator({"a": ITEMS}, {"p": TARGETS})


@pytest.mark.parametrize(
    "make", [as_generator, as_dataset, as_ragged_dataset, as_lists]
)
def test_streams(make, sims):
    net, sim, _ = sims
    loss = LastStep("mse") if make is as_dataset else "mse"
    jit_compile = "auto" if make is as_dataset else False
    sim.compile(
        tf.optimizers.SGD(0.0), loss=loss, metrics=["mae"], jit_compile=jit_compile
    )
    x = {"a": X, "n_steps": LENGTHS[:, None]}
    steps = [-1] if make is as_dataset else slice(None)
    expected = {
        "loss": mean(e[steps] ** 2 for e in net.errors),
        "p_mae": mean(abs(e) for e in net.errors),
    }
    results = sim.evaluate(make(x, {"p": Y}), verbose=0)
    history = sim.fit(make(x, {"p": Y}), verbose=0).history
    for name, value in expected.items():
        np.testing.assert_allclose([results[name], *history[name]], value)
    if make is as_dataset:
        outputs = sim.predict(make(x).map(lambda x: x), verbose=0)
        assert outputs.lengths.tolist() == LENGTHS.tolist()
        for output, value, n in zip(outputs[net.p], net.expected, LENGTHS):
            np.testing.assert_allclose(output[:n], value, atol=1e-12)
            assert np.isnan(output[n:]).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients(jit_compile, sims):
    net, sim, one = sims
    changes = []
    for simulator_, items in ((sim, [[0, 2]]), (one, [[0], [2]])):
        changes.append(0)
        for rows in items:
            before = simulator_.data[net.conn].weights
            simulator_.compile(
                tf.optimizers.SGD(1.0), loss="mse", jit_compile=jit_compile
            )
            x = {net.a: X[rows] if len(rows) > 1 else ITEMS[rows[0]][None]}
            y = Y[rows] if len(rows) > 1 else TARGETS[rows[0]][None]
            n_steps = LENGTHS[rows] if len(rows) > 1 else None
            simulator_.fit(x, y, n_steps=n_steps, verbose=0)
            changes[-1] += simulator_.data[net.conn].weights - before
            simulator_.reset()
    change, expected = changes
    np.testing.assert_allclose(change, expected / 2, atol=1e-12)
    assert abs(expected).max() > 1e-4


@pytest.mark.parametrize("training", [False, True])
def test_state(training):
    """A stateful call goes on with the state at each item's own last step."""
    net = make_network(keep_history=False, learns=True)
    items = X[:2], [X[3], X[4, :2]]
    outputs = []
    with simulator(net, 2) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse", jit_compile=False)
        for i, x in enumerate(items):
            n_steps = [3, 6] if i == 0 else None
            x = {net.a: x}
            if training:
                sim.fit(x, Y[:2, :1], n_steps=n_steps, stateful=True, verbose=0)
                outputs.append(sim.signals[sim.model.sig[net.conn]["weights"]])
            else:
                outputs.append(
                    sim.predict(x, n_steps=n_steps, stateful=True, verbose=0)[net.p]
                )
        assert sim.n_steps == 12
    with simulator(net, 1) as one:
        for item, lengths in enumerate(((3, 6), (6, 2))):
            one.reset()
            for i, n in enumerate(lengths):
                x = items[i][item][None, :n]
                output = one.predict(x, stateful=True, verbose=0)[net.p]
                if training:
                    output = one.signals[one.model.sig[net.conn]["weights"]]
                np.testing.assert_allclose(outputs[i][item], output[0], atol=1e-12)


def test_unrolled_steps(sims):
    """The number of steps of the simulation is a multiple; lengths need not be."""
    net, _, _ = sims
    with simulator(net, 2, unroll=4) as sim:
        outputs = sim.predict({net.a: ITEMS}, verbose=0)
        assert outputs[net.p].shape == (N, 8, 2)
        for output, expected, n in zip(outputs[net.p], net.expected, LENGTHS):
            np.testing.assert_allclose(output[:n], expected, atol=1e-12)
            assert np.isnan(output[n:]).all()


# -- inputs that are held --------------------------------------------------------------


@pytest.mark.parametrize("shape", [(N, 1), (N, 1, 1)])
def test_held_inputs(shape, sims):
    net, sim, one = sims
    x = X[:, 0].reshape(shape)
    long = np.repeat(X[:, :1], 3, axis=1)
    expected = one.predict(long, verbose=0)[net.p]
    for data, n_steps in ((x, 3), ({"a": x, "n_steps": np.full((N, 1), 3)}, None)):
        outputs = sim.predict(data, n_steps=n_steps, verbose=0)[net.p]
        np.testing.assert_allclose(outputs, expected, atol=1e-12)
    sim.run_steps(3, data={net.a: x[:2]})
    np.testing.assert_allclose(sim.data[net.p], expected[:2], atol=1e-12)
    sim.reset()
    batch = sim.predict_on_batch(x[:2], n_steps=3)[net.p]
    np.testing.assert_allclose(batch, expected[:2], atol=1e-12)
    sim.compile(tf.optimizers.SGD(0.0), loss="mse")
    loss = np.mean((expected - Y[:, :3]) ** 2)
    np.testing.assert_allclose(
        sim.fit(x, Y[:, :3], n_steps=3, verbose=0).history["loss"], loss
    )
    counts = np.full((N, 1), 3)
    for make in (as_generator, as_dataset):
        data = make({"a": x, "n_steps": counts}, {"p": Y[:, :3]})
        np.testing.assert_allclose(sim.evaluate(data, verbose=0)["loss"], loss)


@pytest.mark.filterwarnings("ignore:The data have one timestep")
@pytest.mark.parametrize("n_steps", [1, 3])
def test_first_batch_of_a_dataset(n_steps, sims):
    """It tells whether inputs are held, and is used nevertheless."""
    net, sim, one = sims
    x = X[:, :1]
    expected = one.predict(np.repeat(x, n_steps, axis=1), verbose=0, stateful=False)
    batches = as_dataset({"a": x, "n_steps": np.full((N, 1), n_steps)})
    has_begun = iter(batches)
    once = tf.data.Dataset.from_generator(
        lambda: has_begun, output_signature=batches.element_spec
    )
    for data in (batches, once):
        outputs = sim.predict(data, verbose=0)[net.p]
        np.testing.assert_allclose(outputs, expected[net.p], atol=1e-12)
    assert not list(has_begun)
    sim.compile(tf.optimizers.SGD(0.0), loss="mse")
    y = Y[:, :n_steps]
    parts = {"a": x, "n_steps": np.full((N, 1), n_steps)}, {"p": y}
    losses = sim.fit(as_dataset(*parts), epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, np.mean((expected[net.p] - y) ** 2))


@pytest.mark.filterwarnings("ignore:The data have one timestep")
def test_held_inputs_after_one_step(sims):
    counts = np.array([[1], [1], [3], [3], [3]])
    with pytest.raises(ValidationError, match="items of 3 steps, but data of 1 steps"):
        sims[1].predict(as_dataset({"a": X[:, :1], "n_steps": counts}), verbose=0)


def test_held_inputs_and_lengths(sims):
    net, sim, one = sims
    outputs = sim.predict(X[:, 0], n_steps=LENGTHS, verbose=0)[net.p]
    expected = one.predict(np.repeat(X[:, :1], 6, axis=1), verbose=0)[net.p]
    for output, value, n in zip(outputs, expected, LENGTHS):
        np.testing.assert_allclose(output[:n], value[:n], atol=1e-12)
        assert np.isnan(output[n:]).all()


def test_one_step_is_one_step(sims):
    net, sim, _ = sims
    with pytest.warns(UserWarning, match="The data have one timestep"):
        assert sim.predict(X[:, :1], verbose=0)[net.p].shape == (N, 1, 2)


# -- what is wrong ---------------------------------------------------------------------


WRONG = {
    "short": ({"n_steps": LENGTHS[:4]}, "received|4 items|wrong shape|'n_steps'"),
    "long": ({"n_steps": LENGTHS + 1}, "items of 7 steps, but data of 6 steps"),
    "zero": ({"n_steps": LENGTHS - 2}, r"at least 1 \(received 0\)"),
    "fractions": ({"n_steps": LENGTHS + 0.5}, r"integers .*\(received 3.5\)"),
    "matrix": ({"n_steps": np.ones((N, 2))}, r"received shape \(5, 2\)"),
    "targets": ({"x": {"a": ITEMS}, "y": {"p": TARGETS[::-1]}}, "Item 0 has 3 steps"),
    "ragged targets": ({"y": {"p": TARGETS}}, "Item 0 has 6 steps in 'inputs'"),
    "number": ({"x": {"a": ITEMS}, "n_steps": 3}, "contradicts n_steps=3"),
    "sizes": (
        {"x": {"a": [ITEMS[0], np.ones((2, 3)), *ITEMS[2:]]}},
        r"different sizes per step, \[\(1,\), \(3,\)\]",
    ),
    "two": (
        {"x": {"a": X, "n_steps": LENGTHS[:, None]}, "n_steps": LENGTHS},
        "two arrays with numbers of steps",
    ),
    "NaN": ({"x": np.full_like(X, np.nan), "n_steps": LENGTHS}, "contain NaN"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_errors(wrong, sims):
    _, sim, _ = sims
    sim.compile(tf.optimizers.SGD(0.0), loss="mse")
    data, message = WRONG[wrong]
    for call in (sim.fit, sim.evaluate):
        with pytest.raises(ValidationError, match=message):
            call(**{"x": X, "y": Y, **data}, verbose=0)


def one_value(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_true - y_pred), axis=(1, 2))


def test_losses_without_steps(sims):
    """Nothing can be left out of one value for each item."""
    _, sim, _ = sims
    for loss, metrics in ((one_value, None), ("mse", [one_value])):
        sim.compile(tf.optimizers.SGD(0.0), loss=loss, metrics=metrics)
        assert sim.evaluate(X, Y, verbose=0)["loss"] > 0
        with pytest.raises(ValidationError, match="one_value.* no value .*LastStep"):
            sim.evaluate(X, Y, n_steps=LENGTHS, verbose=0)
    sim.compile(tf.optimizers.SGD(0.0), loss=TimeMean("mse", start=2))
    for data in ((X, Y), (as_generator({"a": X}, {"p": Y}),)):
        n_steps = LENGTHS
        if len(data) == 1:
            data = (as_generator({"a": X, "n_steps": LENGTHS[:, None]}, {"p": Y}),)
            n_steps = None
        with pytest.raises(ValidationError, match="from step 2 .* empty for 2 steps"):
            sim.evaluate(*data, n_steps=n_steps, verbose=0)
    with pytest.raises(ValidationError, match='"length"` is for arrays'):
        sim.fit(as_generator({"a": X}, {"p": Y}), shuffle="length", verbose=0)


def test_kinds_of_batches(sims):
    """Batches either have lengths, all of them, or have not."""
    _, sim, _ = sims
    steps = np.full((2, 1), 6)
    batches = [{"a": X[:2]}, {"a": X[:2], "n_steps": steps}]
    for data in (batches, batches[::-1]):
        with pytest.raises(ValidationError, match="have to be of one kind"):
            sim.predict(iter(batch for batch in data), verbose=0)


def test_as_sequences():
    values, n_steps, lengths = as_sequences({"a": ITEMS}, None, 4)
    assert (n_steps, lengths.tolist()) == (8, LENGTHS.tolist())
    assert values["a"].shape == (N, 8, 1) and values["n_steps"].tolist() == [[8]] * N
    same = as_sequences({"a": X}, 6, 1)
    assert same.values["a"] is X and same[1:] == (6, None)
    # equal lengths are no lengths
    same = as_sequences({"a": list(X)}, None, 1)
    assert same.lengths is None and same.n_steps is None
    same = as_sequences({}, np.full(3, 6), 1)
    assert same.lengths is None and same.n_steps == 6
    assert as_lengths([[3], [2]]).tolist() == [3, 2]
    assert as_target("p", TARGETS, 6, LENGTHS).shape == (N, 6, 2)
    ragged = tf.ragged.constant([[[1, 2]], [[3], [4, 5]]])
    with pytest.raises(ValidationError, match="only the number of steps may differ"):
        padded("a", ragged, 2)
