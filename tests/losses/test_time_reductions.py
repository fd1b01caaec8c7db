import pickle
from functools import partial

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.losses import LastStep, Regularize, TimeMean
from nengo_dl.training.loss_values import reduced_loss

# items, steps, classes; the targets of some steps are other ones than of the last
OUTPUT = np.random.RandomState(1).uniform(0.1, 1, size=(4, 6, 3))
LABELS = np.array([[0, 0, 0, 1, 1, 2], [1] * 6, [2] * 6, [0] * 6])[..., None]
ONE_HOT = np.eye(3)[LABELS[..., 0]]


def cross_entropy(y_true, y_pred):
    return -np.sum(y_true * np.log(y_pred / y_pred.sum(-1, keepdims=True)), axis=-1)


def own_gap(y_true, y_pred):
    return tf.reduce_max(tf.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    "loss, expected",
    [
        ("mse", lambda t, p: ((t - p) ** 2).mean(-1)),
        (keras.losses.MeanAbsoluteError(), lambda t, p: np.abs(t - p).mean(-1)),
        (keras.losses.CategoricalCrossentropy(), cross_entropy),
        (own_gap, lambda t, p: np.abs(t - p).max(-1)),
    ],
    ids=["string", "mean object", "object", "function"],
)
def test_losses_of_one_value(loss, expected):
    for wrapper, target, output in (
        (LastStep(loss), ONE_HOT[:, 5], OUTPUT[:, 5]),
        (TimeMean(loss), ONE_HOT.mean(1), OUTPUT.mean(1)),
        (TimeMean(loss, -4, 5), ONE_HOT[:, 2:5].mean(1), OUTPUT[:, 2:5].mean(1)),
        (TimeMean(loss, start=3), ONE_HOT[:, 3:].mean(1), OUTPUT[:, 3:].mean(1)),
    ):
        errors = expected(target, output)
        assert np.allclose(wrapper.call(ONE_HOT, OUTPUT), errors)
        assert np.allclose(reduced_loss(wrapper, ONE_HOT, OUTPUT), errors.mean())
        assert np.allclose(wrapper(ONE_HOT, OUTPUT), errors.mean())
        one_step = expected(ONE_HOT[:, 0], output)
        assert np.allclose(wrapper.call(ONE_HOT[:, :1], OUTPUT), one_step)


def test_time_reduction_of_labels():
    """Labels have no mean."""
    loss = keras.losses.SparseCategoricalCrossentropy()
    for wrapper, label, output in (
        (LastStep(loss), LABELS[:, 5, 0], OUTPUT[:, 5]),
        (TimeMean(loss, 0, 4), LABELS[:, 3, 0], OUTPUT[:, :4].mean(1)),
    ):
        errors = cross_entropy(np.eye(3)[label], output)
        assert np.allclose(wrapper.call(LABELS, OUTPUT), errors)
        assert np.allclose(wrapper.call(label[:, None, None], OUTPUT), errors)


def eager(function):
    return lambda *args: function(*map(tf.convert_to_tensor, args))


def traced(function):
    """Returns the function of tensors with numbers of steps that are not known."""

    def call(*args):
        args = [tf.convert_to_tensor(arg) for arg in args]
        specs = [
            tf.TensorSpec([4, None, *arg.shape[2:]][: arg.shape.rank], arg.dtype)
            for arg in args
        ]
        return tf.function(function, specs, autograph=False)(*args)

    return call


@pytest.mark.parametrize("of_function", [eager, traced], ids=["eager", "traced"])
def test_time_reduction_sample_weights(of_function):
    target, weights = ONE_HOT[:, :1], np.arange(24.0).reshape(4, 6)
    last = ((ONE_HOT[:, 0] - OUTPUT[:, 5]) ** 2).mean(-1)
    mean = ((ONE_HOT[:, 0] - OUTPUT[:, 1:3].mean(1)) ** 2).mean(-1)
    for wrapper, given, errors, weight in (
        (LastStep("mse"), weights[:, 0], last, weights[:, 0]),
        (LastStep("mse"), weights, last, weights[:, 5]),
        (LastStep("mse"), weights.astype(int), last, weights[:, 5]),
        (TimeMean("mse", 1, 3), weights[:, 0], mean, weights[:, 0]),
        (TimeMean("mse", 1, 3), weights, mean, weights[:, 1:3].mean(1)),
        (TimeMean("mse", 1, 3), weights[:, 4:5], mean, weights[:, 4]),
    ):
        for function in (wrapper, partial(reduced_loss, wrapper)):
            value = of_function(function)(target, OUTPUT, given)
            assert np.allclose(value, (errors * weight).mean())
    total = LastStep(keras.losses.MeanSquaredError(reduction="sum"))
    assert np.allclose(total(target, OUTPUT, weights), (last * weights[:, 5]).sum())


def test_time_mean_of_equal_targets():
    """It is the target, not just nearly, which is what metrics look for."""
    targets = np.ones((1, 49, 1), np.float32) * np.float32(0.1)
    reduce = tf.function(TimeMean("mse").reduce, jit_compile=True)
    value, _ = reduce(targets, targets)
    assert value == np.float32(0.1)


def test_time_reduction_names():
    assert LastStep("accuracy").name == "last_accuracy"
    assert TimeMean(own_gap, 3).name == "time_mean_own_gap"
    assert LastStep(keras.metrics.AUC(name="area")).name == "last_area"
    assert TimeMean("mse", name="early").name == "early"


def via_pickle(wrapper):
    return pickle.loads(pickle.dumps(wrapper))


def via_config(wrapper):
    return type(wrapper).from_config(wrapper.get_config())


def via_keras(wrapper):
    return keras.losses.deserialize(keras.losses.serialize(wrapper))


@pytest.mark.parametrize("copied", [via_pickle, via_config, via_keras])
@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.mean_squared_error, keras.losses.MeanSquaredError()]
)
def test_time_reduction_copies(loss, copied):
    wrapper = copied(TimeMean(loss, -3, 5, name="late"))
    assert (wrapper.start, wrapper.stop, wrapper.name) == (-3, 5, "late")
    expected = ((ONE_HOT[:, 3:5].mean(1) - OUTPUT[:, 3:5].mean(1)) ** 2).mean()
    assert np.allclose(wrapper(ONE_HOT, OUTPUT), expected)
    assert copied(LastStep("accuracy")).loss == "accuracy"
    metric = copied(LastStep(keras.metrics.TopKCategoricalAccuracy(2))).loss
    assert isinstance(metric, keras.metrics.Metric) and metric.get_config()["k"] == 2


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LastStep(3), "name of a loss or metric.*received 3"),
        (lambda: LastStep(TimeMean("mse")), "`TimeMean` needs all steps"),
        (lambda: LastStep(Regularize()), "`Regularize` needs all steps"),
        (lambda: TimeMean("mse", 0.5), "start: .*integer or None, received 0.5"),
        (lambda: TimeMean("mse", stop=True), "stop: .*integer or None, received True"),
        (lambda: TimeMean("mse", 4, 4), "from step 4 to 4 is empty"),
        (lambda: TimeMean("mse", -1, -2), "from step -1 to -2 is empty"),
        (lambda: TimeMean("mse", stop=0), "from step None to 0 is empty"),
        (lambda: TimeMean("mse", 6).call(ONE_HOT, OUTPUT), "is empty for 6 steps"),
        (lambda: LastStep("mse").call(ONE_HOT[:, :2], OUTPUT), "the 6 of the output"),
        (lambda: LastStep("mse").call(ONE_HOT[:, 0], OUTPUT[:, 0]), r"shape \(4, 3\)"),
        (
            lambda: LastStep("mse")(ONE_HOT, OUTPUT, np.ones((4, 2))),
            "Sample weights for .* one step, or the 6 of the output, received 2",
        ),
    ],
)
def test_time_reduction_errors(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


# -- training --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passing(Simulator):
    """Returns a simulator whose Probes have the values of its inputs."""
    with nengo.Network() as net:
        inputs = [nengo.Node([0.0] * size, label=f"in{size}") for size in (3, 1)]
        classes, binary = (
            nengo.Probe(node, label=label)
            for node, label in zip(inputs, ("classes", "binary"))
        )
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        yield sim, classes, binary


def evaluate(sim, y, **kwargs):
    x = {"in3": OUTPUT, "in1": OUTPUT[..., :1]}
    return sim.evaluate(x, y, verbose=0, **kwargs)


@pytest.mark.training
@pytest.mark.parametrize("steps", [slice(5, 6), slice(None)], ids=["one", "all"])
@pytest.mark.parametrize("targets", [LABELS, ONE_HOT], ids=["labels", "one-hot"])
def test_evaluate_time_reductions(passing, targets, steps):
    sim, classes, binary = passing
    is_sparse = targets is LABELS
    prefix, keras_loss = (
        ("sparse_", keras.losses.SparseCategoricalCrossentropy)
        if is_sparse
        else ("", keras.losses.CategoricalCrossentropy)
    )
    metric = keras.metrics.get(f"{prefix}categorical_accuracy")
    weights = np.arange(1.0, 5.0)
    sim.compile(
        loss={classes: LastStep(keras_loss()), binary: TimeMean("mae", 4)},
        metrics={
            classes: [
                LastStep("accuracy"),
                TimeMean("accuracy", -2),
                TimeMean("accuracy", 0, 1),
                LastStep(metric),
                TimeMean(keras_loss(name="entropy"), -2),
            ],
            "binary": TimeMean("accuracy"),
        },
        weighted_metrics=[[LastStep("accuracy", name="weighted")], None],
    )
    y = {classes: targets[:, steps], binary: np.ones((4, 6, 1))[:, steps]}
    results = evaluate(sim, y, sample_weight={classes: weights})

    label = LABELS[:, 5, 0]
    last, late, first = OUTPUT[:, 5], OUTPUT[:, 4:].mean(1), OUTPUT[:, 0]
    # the labels of item 0 change
    late_target = ONE_HOT[:, steps][:, -2:].mean(1)
    if is_sparse:
        late_target = ONE_HOT[:, 5]
    first_label = LABELS[:, steps][:, 0, 0]
    right = last.argmax(-1) == label
    assert 0 < right.sum() < 4
    loss = (weights * cross_entropy(ONE_HOT[:, 5], last)).mean()
    mae = np.abs(1 - OUTPUT[:, 4:, 0].mean(1)).mean()
    expected = {
        "loss": loss + mae,
        "classes_loss": loss,
        "binary_loss": mae,
        "classes_last_accuracy": right.mean(),
        "classes_time_mean_accuracy": np.mean(
            late.argmax(-1) == late_target.argmax(-1)
        ),
        "classes_time_mean_accuracy_1": np.mean(first.argmax(-1) == first_label),
        f"classes_last_{prefix}categorical_accuracy": right.mean(),
        "classes_time_mean_entropy": cross_entropy(late_target, late).mean(),
        "binary_time_mean_accuracy": np.mean(OUTPUT[..., 0].mean(1) > 0.5),
        "classes_weighted": (weights * right).sum() / weights.sum(),
    }
    assert results == pytest.approx(expected, rel=1e-5)


@pytest.mark.training
def test_evaluate_one_reduction_for_all(passing):
    """Metrics have state: each Probe has its own; weights are those of the steps."""
    sim, classes, binary = passing
    wrapper = LastStep(keras.metrics.MeanAbsoluteError())
    loss = LastStep(keras.losses.MeanSquaredError)
    by_step = np.arange(24.0).reshape(4, 6)
    for metric in (wrapper, [wrapper] * 2, {p: [wrapper] for p in (classes, binary)}):
        sim.compile(loss=loss, weighted_metrics=metric)
        y = {classes: np.zeros((4, 1, 3)), binary: np.zeros((4, 1, 1))}
        results = evaluate(sim, y, sample_weight=by_step)
        weights = by_step[:, 5]
        for name, output in (("classes", OUTPUT[:, 5]), ("binary", OUTPUT[:, 5, :1])):
            error = np.average(output.mean(-1), weights=weights)
            gap = results[f"{name}_last_mean_absolute_error"]
            assert gap == pytest.approx(error, rel=1e-5)
            error = np.mean(weights * (output**2).mean(-1))
            assert results[f"{name}_loss"] == pytest.approx(error, rel=1e-5)
    assert evaluate(sim, y, sample_weight=by_step) == results


@pytest.mark.training
@pytest.mark.parametrize("form", ["loss", "metrics"])
def test_time_reduction_errors_of_simulators(passing, form):
    sim, classes, binary = passing

    def check(value, match, n_steps=1, size=3):
        with pytest.raises(ValidationError, match=match):
            sim.compile(**{form: {classes: value}})
            evaluate(sim, {classes: np.zeros((4, n_steps, size))})

    check(LastStep("no_such_thing"), "'no_such_thing' .*not the name of a")
    check(TimeMean("mse", 6), "window from step 6 to None is empty for 6 steps")
    check(TimeMean("mse", 6), "window from step 6 to None is empty for 6 steps", 6)
    check(LastStep("mse"), "must have one step, or the 6 of the output, received 3", 3)
    check(TimeMean("mse", 5), "would be broadcast", size=1)
    if form == "loss":
        check(LastStep("accuracy"), "'accuracy' .*not the name of a loss")
        check(LastStep(keras.metrics.AUC()), "must be a name, a function")


@pytest.mark.training
@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_train_time_reductions(form, Simulator):
    with nengo.Network() as net:
        inp, out = nengo.Node([0.0]), nengo.Node(size_in=1)
        nengo.Connection(inp, out, synapse=None, transform=1)
        probe = nengo.Probe(out)
    x = np.array([[[3.0], [-1.0], [1.0], [2.0]]] * 2)
    y = np.array([[[6.0]]] * 2)
    if form == "arrays":
        wrapper, weight, data = TimeMean("mse", 0, -1), 6, {"x": x, "y": y}
    else:
        inputs = {"node": x, "n_steps": np.full((2, 1), 4)}
        data = {"x": tf.data.Dataset.from_tensor_slices((inputs, y)).batch(1)}
        wrapper, weight = LastStep("mse"), 3
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss=wrapper)
        sim.fit(**data, epochs=30, verbose=0)
        assert sim.keras_model.facts.jit_compile
        output = sim.predict(x[:1], verbose=0)[probe]
    assert np.allclose(output, weight * x[:1], atol=1e-4)
