"""Simulators in several threads, which share the settings of Keras and Nengo."""

import threading

import keras
import nengo
import numpy as np
import pytest

from nengo_dl.config import configure_settings


def network(seed, dtype, function=None, jit_compile="auto"):
    with nengo.Network(seed=seed) as net:
        configure_settings(dtype=dtype, jit_compile=jit_compile)
        net.inp = nengo.Node([0.5])
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.RectifiedLinear())
        nengo.Connection(net.inp, ens)
        net.probe = nengo.Probe(ens)
        if function is not None:
            nengo.Connection(ens, nengo.Node(function, size_in=1))
    return net


def in_threads(*functions):
    """Call functions at once; raise the first exception."""
    errors = []

    def call(function):
        try:
            function()
        except Exception as err:
            errors.append(err)

    threads = [threading.Thread(target=call, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
        assert not thread.is_alive(), "threads wait for each other"
    if errors:
        raise errors[0]


@pytest.fixture(autouse=True)
def settings_stay():
    before = keras.config.floatx(), nengo.rc.get("precision", "bits")
    yield
    assert (keras.config.floatx(), nengo.rc.get("precision", "bits")) == before


@pytest.mark.training
def test_several_at_once(Simulator):
    """Data are those of one after the other, and of the right type."""
    results = {}

    def use(seed, dtype, key):
        # one of each type in XLA is enough to meet the others there
        net = network(seed, dtype, jit_compile="auto" if seed < 2 else False)
        x = np.full((1, 2, 1), 1 / 3)
        with Simulator(net, unroll_simulation=1, minibatch_size=1) as sim:
            sim.run_steps(4)
            sim.compile("sgd", loss={net.probe: "mse"})
            loss = sim.fit(x, {net.probe: x}, verbose=0).history["loss"]
            error = sim.evaluate(x, {net.probe: x}, verbose=0)["loss"]
            predicted = sim.predict(x, verbose=0)[net.probe]
            results[key, seed] = sim.data[net.probe], loss, error, predicted

    arguments = [(0, "float32"), (1, "float64"), (2, "float32"), (3, "float64")]
    for args in arguments:
        use(*args, "alone")
    in_threads(*(lambda args=args: use(*args, "together") for args in arguments))
    for seed, dtype in arguments:
        for alone, together in zip(results["alone", seed], results["together", seed]):
            np.testing.assert_array_equal(alone, together)
        assert results["together", seed][0].dtype == dtype


@pytest.mark.training
@pytest.mark.filterwarnings("ignore:Python is called")
def test_simulators_within_simulators(Simulator):
    """Functions and callbacks may use others, in any thread, without a deadlock."""
    n_calls = 0

    def use_another():
        nonlocal n_calls
        n_calls += 1
        # (XLA takes long: once within a simulation, and once in a thread)
        net = network(1, "float32", jit_compile="auto" if n_calls <= 2 else False)
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(2)

    def function(t, x):
        if t == 0.001:
            use_another()
            in_threads(use_another)
        return x

    class Callback(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            use_another()
            in_threads(use_another)

    def use():
        net = network(0, "float64", function)
        x = np.ones((1, 2, 1))
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(1)
            assert n_calls == 2
            sim.compile("sgd", loss={net.probe: "mse"})
            callbacks = [Callback()]
            sim.fit(x, {net.probe: x}, callbacks=callbacks, verbose=0)
            assert n_calls >= 4

    in_threads(use)
