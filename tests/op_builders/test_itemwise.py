"""Calls of Python, item by item of the minibatch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.op_builders import ItemwiseCalls
from nengo_dl.signals import SignalDict


def make_signals(arrays, minibatch_size=2):
    """Returns a `SignalDict` with one base array for each signal."""
    signals = SignalDict("float64", minibatch_size)
    signals.dt_val, signals.step = 0.001, tf.constant(123)
    for signal, value in arrays.items():
        minibatched = value.ndim > signal.ndim
        signal.minibatched = minibatched
        if signal.ndim == 0:
            value = value[..., None]
        n = value.shape[int(minibatched)]
        signals.bases[signal.name] = tf.constant(value)
        signals.base_shapes[signal.name] = value.shape
        signals.get_tensor_signal(
            [(0, n)], signal.name, "float64", signal.shape, minibatched, signal
        )
    return signals


def make_calls(ops, takes_time=False, mode="update"):
    return ItemwiseCalls(
        ops,
        reads=lambda op: op.reads,
        writes=lambda op: op.writes,
        takes_time=takes_time,
        name="Gadgets",
        origin=lambda op: f"the gadget {op.name}",
        mode=mode,
    )


def test_order_shapes_and_values():
    a, b = Signal(np.zeros((2, 3)), name="a"), Signal(np.zeros((1, 3)), name="b")
    scalar, extra = Signal(0.0, name="scalar"), Signal(np.zeros(2), name="extra")
    out, out2 = Signal(np.zeros(2), name="out"), Signal(np.zeros((2, 2)), name="out2")
    ops = [
        SimpleNamespace(reads=[a], writes=[out]),
        SimpleNamespace(reads=[b, scalar], writes=[]),
        SimpleNamespace(reads=[], writes=[extra, out2]),
    ]
    values = {
        a: np.arange(12.0).reshape(2, 2, 3),
        b: np.ones((2, 1, 3)),
        scalar: np.array(5.0),  # the same for all items
        out: np.ones((2, 2)),
        extra: np.ones((2, 2)),
        out2: np.ones((2, 2, 2)),
    }
    signals, calls = make_signals(values), make_calls(ops, True, "inc")
    log = []

    def function(item, number, outputs):
        def call(t, *args):
            log.append((item, number, t, [np.array(arg) for arg in args]))
            return outputs

        return call

    calls.functions = [
        [
            function(item, 0, [np.array([1, 2 + item])]),
            function(item, 1, []),
            function(item, 2, [np.full(2, item), np.full((2, 2), 7)]),
        ]
        for item in range(2)
    ]
    calls.build_pre(signals)
    written = calls.build_step(signals)

    assert [entry[:3] for entry in log] == [
        (item, number, 0.123) for item in range(2) for number in range(3)
    ]
    for item in range(2):
        args = [entry[3] for entry in log[3 * item : 3 * item + 3]]
        np.testing.assert_array_equal(args[0], values[a][item][None])
        assert [arg.shape for arg in args[1]] == [(1, 3), ()]
        assert args[1][1] == 5
        assert args[2] == []
    assert [v.shape for v in written] == [(2, 4), (2, 2, 2)]
    np.testing.assert_array_equal(signals.gather(out), [[2, 3], [2, 4]])
    np.testing.assert_array_equal(signals.gather(extra), [[1, 1], [2, 2]])
    np.testing.assert_array_equal(signals.gather(out2), np.full((2, 2, 2), 7))


def test_nothing_to_read_or_write():
    n_calls = []
    calls = make_calls([SimpleNamespace(reads=[], writes=[])])
    calls.functions = [[lambda t: n_calls.append(t) or []]] * 3
    signals = make_signals({}, minibatch_size=3)
    calls.build_pre(signals)
    assert tf.function(lambda: calls.build_step(signals), autograph=False)() == []
    assert n_calls == [None] * 3


def test_errors():
    calls = make_calls([SimpleNamespace(reads=[], writes=[], name="of Dr. No")])
    with pytest.raises(SimulationError, match="Gadgets are simulated before.*build_po"):
        calls.run(0.001, [], [], [[([], [])]])
    calls.functions = [[lambda t: 1 / 0]]
    with pytest.raises(ZeroDivisionError) as err:
        calls.run(0.001, [], [], [[([], [])]])
    note = "ZeroDivisionError detected in the gadget of Dr. No"
    assert err.value.__notes__ == [note]
