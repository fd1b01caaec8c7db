"""Arguments that are not data: what is wrong with them is said before anything runs."""

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from training.linear_networks import linear_network

from nengo_dl.training.options import check_fit_options, check_jit_compile

pytestmark = pytest.mark.training

X = np.ones((4, 1, 1))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shuffle": "sorted"}, """True, False, "batch" .* received 'sorted'"""),
        ({"validation_split": 2}, r"from 0 to less than 1.*received 2\)"),
        ({"validation_split": 1}, r"received 1\)"),
        ({"validation_split": -0.5}, r"received -0.5\)"),
        ({"validation_split": np.nan}, r"received nan\)"),
        ({"validation_split": True}, r"received True\)"),
        ({"validation_split": "a"}, r"received 'a'\)"),
        ({"validation_data": []}, r"\(x, y\).*a list of length 0\)"),
        ({"validation_data": (X,)}, r"a tuple of length 1\)"),
        ({"validation_data": (X,) * 4}, r"a tuple of length 4\)"),
        ({"validation_data": {"a": X}}, r"received `dict`"),
        ({"validation_data": X}, r"received `ndarray`"),
        ({"validation_data": 3}, r"received `int`"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValidationError, match=message):
        check_fit_options(options)


def test_good_options():
    check_fit_options({})
    check_fit_options(
        {"class_weight": None, "validation_split": None, "validation_data": None}
    )
    check_fit_options({"validation_split": np.float32(0.5)})
    check_fit_options({"validation_data": (X, X)})
    check_fit_options({"validation_data": [X, X, X]})
    check_fit_options({"validation_data": (batch for batch in [(X, X)])})


def test_jit_compile():
    assert [check_jit_compile(v) for v in (True, False, "auto")] == [
        True,
        False,
        "auto",
    ]
    assert check_jit_compile(np.False_) is False
    for value in ("maybe", None, 1):
        with pytest.raises(ValidationError, match="True, False, or 'auto'"):
            check_jit_compile(value)


def test_options_of_fit(Simulator):
    net = linear_network()
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        # batches for validation have the size of all others
        with pytest.warns(UserWarning, match="`validation_batch_size=3` is ignored"):
            history = sim.fit(
                X, X, validation_split=0.5, validation_batch_size=3, verbose=0
            )
        assert len(history.history["val_loss"]) == 1


def test_what_must_wait(Simulator):
    """What a running call needs is neither freed nor replaced."""
    net, errors = linear_network(), {}

    class Calls(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            sim.predict(X, verbose=0)
            sim.evaluate(X, X, verbose=0)
            for name, call in {
                "close": sim.close,
                "compile": lambda: sim.compile("sgd", loss="mse"),
                "fit": lambda: sim.fit(X, X, verbose=0),
            }.items():
                try:
                    call()
                except nengo.exceptions.SimulationError as err:
                    errors[name] = str(err)

        def on_predict_end(self, logs=None):
            with pytest.raises(nengo.exceptions.SimulationError, match="`predict` is"):
                sim.close()

    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit(X, X, callbacks=[Calls()], verbose=0)
        assert errors == {
            "close": "Cannot close the simulator while `fit` is running; wait until it "
            "has returned",
            "compile": "Cannot compile while `fit` is running; wait until it has "
            "returned",
            "fit": "Cannot train while `fit` is running; wait until it has returned",
        }
        sim.predict(X, callbacks=[Calls()], verbose=0)
        # and afterwards everything is possible again
        sim.compile("sgd", loss="mse")
        sim.fit(X, X, verbose=0)
    assert sim.closed


def test_evaluate_in_a_callback(Simulator):
    """Results of training are not those of what a callback evaluates."""
    net = linear_network(jit_compile=False)

    class Evaluate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert sim.evaluate(X, 3 * X, verbose=0)["probe_mae"] == 2.5

    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(keras.optimizers.SGD(0.0), loss="mse", metrics="mae")
        history = sim.fit(X, X, callbacks=[Evaluate()], verbose=0).history
    assert history == {"loss": [0.25], "probe_loss": [0.25], "probe_mae": [0.5]}


def test_closing_within_a_function(Simulator):
    def output(t):
        if t > 0:
            sim.close()
        return 0

    with nengo.Network() as net:
        nengo.Probe(nengo.Node(output, size_out=1))
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(nengo.exceptions.SimulationError, match="while `run` is"):
            sim.run_steps(3)
        assert not sim.closed and sim.n_steps == 0
