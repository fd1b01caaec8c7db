"""What Keras cannot show, as it has not begun: that something is compiled."""

import numpy as np
import pytest
from training.linear_networks import linear_network

pytestmark = pytest.mark.training

X = np.ones((2, 2, 1))


def test_compilation_is_shown(Simulator, capsys):
    net = linear_network(jit_compile=False)
    with Simulator(net, unroll_simulation=1, progress_bar=True) as sim:
        sim.compile("sgd", loss="mse", jit_compile=False)
        calls = (
            lambda **kwargs: sim.fit(X, X, validation_data=(X, X), **kwargs),
            lambda **kwargs: sim.evaluate(X, X, **kwargs),
            lambda **kwargs: sim.predict(X, **kwargs),
        )
        for call in calls:
            capsys.readouterr()
            # the first time, if Keras shows anything
            for verbose, n_bars in ((0, 0), (2, 1), (2, 0)):
                call(verbose=verbose)
                shown = capsys.readouterr().out
                assert shown.count("Compilation finished") == n_bars
                assert ("Compiling" in shown) == bool(n_bars)


def test_no_progress_bar(Simulator, capsys):
    net = linear_network(jit_compile=False)
    with Simulator(net, unroll_simulation=1, progress_bar=False) as sim:
        sim.predict(X, verbose=2)
    assert "Compil" not in capsys.readouterr().out


def test_progress_of_a_call_that_fails(Simulator, capsys):
    net = linear_network(jit_compile=False)

    def fail(*args):
        raise RuntimeError("enough")

    with Simulator(net, unroll_simulation=1, progress_bar=True) as sim:
        sim.compile("sgd", loss=fail)
        with pytest.raises(Exception, match="enough"):
            sim.fit(X, X, verbose=2)
    shown = capsys.readouterr().out
    assert "Compiling" not in shown or "Compilation finished" in shown
