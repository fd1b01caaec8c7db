"""How signals are read, written, and combined."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from signals.signal_case import DTYPE, Case

from nengo_dl.signals import SignalDict, TensorSignal

# -- reads ----------------------------------------------------------------------------


def test_gather_of_a_slice(minibatch_size):
    case = Case(minibatch_size)
    value = case.signals.gather(case.signal([(1, 4)], (3, 2)))
    assert np.array_equal(value, case.rows(1, 2, 3))
    assert case.signals.read_types == {"strided_slice": 1}


def test_gather_reshapes(minibatch_size):
    case = Case(minibatch_size)
    value = case.signals.gather(case.signal([(1, 4)], (3, 2)).reshape((2, 3)))
    assert value.shape == (*case.array.shape[: case.axis], 2, 3)
    assert np.array_equal(np.ravel(value), np.ravel(case.rows(1, 2, 3)))


def test_gather_of_everything(minibatch_size):
    case = Case(minibatch_size)
    assert case.signals.gather(case.signal([(0, 6)], (6, 2))) is case.base
    assert case.signals.read_types == {"identity": 1}


def test_gather_with_force_copy(minibatch_size):
    case = Case(minibatch_size)
    everything = case.signal([(0, 6)], (6, 2))
    value = case.signals.gather(everything, force_copy=True)
    assert value is not case.base
    assert np.array_equal(value, case.array)
    part = case.signals.gather(case.signal([(1, 3)], (2, 2)), force_copy=True)
    assert np.array_equal(part, case.rows(1, 2))
    assert case.signals.read_types == {"gather": 2}


def test_gather_from_several_base_arrays(minibatch_size):
    case = Case(minibatch_size)
    case.signals.bases["other"] = case.base + 1
    signal = case.signal(
        [(0, 2), (3, 4), (1, 2), (5, 6)], (5, 2), key=("base", "other", "base", "base")
    )
    expected = [case.rows(0, 1), case.rows(3) + 1, case.rows(1, 5)]
    expected = np.concatenate(expected, axis=case.axis)
    assert np.array_equal(case.signals.gather(signal), expected)


def test_gather_before_anything_is_written():
    case = Case(None)
    case.signals.bases = {"base": (6, 2)}
    for key in ("base", "missing"):
        with pytest.raises(BuildError, match="read before anything has set it"):
            case.signals.gather(case.signal([(0, 6)], (6, 2), key=key))


# -- writes ---------------------------------------------------------------------------


def test_scatter_of_the_wrong_dtype(minibatch_size):
    case = Case(minibatch_size)
    value = tf.constant(case.values(6, 2), tf.float64)
    with pytest.raises(BuildError, match="wrong dtype.*float32.*float64"):
        case.signals.scatter(case.signal([(0, 6)], (6, 2)), value)


def test_scatter_to_a_variable(minibatch_size):
    case = Case(minibatch_size)
    case.signals.bases["base"] = tf.Variable(case.array)
    with pytest.raises(BuildError, match="should not be a Variable"):
        case.signals.scatter(case.signal([(0, 6)], (6, 2)), case.base)


def test_scatter_update(minibatch_size):
    case = Case(minibatch_size)
    value = case.values(2, 2)
    case.signals.scatter(case.signal([(1, 3)], (2, 2)), tf.constant(value))
    expected = case.changed(slice(1, 3), lambda _: value)
    assert np.array_equal(case.result(), expected)
    assert case.signals.write_types == {"scatter_update": 1}


def test_scatter_inc(minibatch_size):
    case = Case(minibatch_size)
    value = case.values(4)
    signal = case.signal([(1, 3)], (2, 2))
    case.signals.scatter(signal, tf.constant(value), mode="inc")
    increment = value.reshape(case.rows(1, 2).shape)
    expected = case.changed(slice(1, 3), lambda old: old + increment)
    assert np.allclose(case.result(), expected)
    assert case.signals.write_types == {"scatter_add": 1}


def test_scatter_to_everything(minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(0, 6)], (6, 2))
    value = tf.constant(case.values(6, 2))
    case.signals.scatter(signal, value)
    assert case.signals.bases["base"] is value
    assert case.signals.write_types == {"assign": 1}

    case.signals.scatter(signal, value, mode="inc")
    assert np.allclose(case.result(), 2 * value)
    assert case.signals.write_types == {"assign": 1, "assign_add": 1}


def test_increment_of_a_value_that_all_items_share():
    case = Case(3)
    whole, part = case.signal([(0, 6)], (6, 2)), case.signal([(1, 3)], (2, 2))
    shared, own = case.values(6, 2)[:1], case.values(6, 2)

    @tf.function(autograph=False)
    def write(shared, own):
        case.signals.scatter(whole, shared)
        case.signals.scatter(whole, own, mode="inc")
        return case.signals.bases["base"]

    assert np.allclose(write(shared, own), shared + own)
    graph = write.get_concrete_function(shared, own).graph
    (addition,) = [op for op in graph.get_operations() if op.type == "AddV2"]
    assert addition.inputs[0].shape == (1, 6, 2)

    # nothing is forgotten that was written in between
    case.signals.scatter(whole, tf.constant(shared))
    case.signals.scatter(part, tf.constant(own[:, :2]), mode="inc")
    case.signals.scatter(whole, tf.constant(own), mode="inc")
    expected = shared + own
    expected[:, 1:3] += own[:, :2]
    assert np.allclose(case.result(), expected)


def test_scatter_of_one_value_for_all_items():
    case = Case(minibatch_size=3)
    value = np.full((2, 2), 5, DTYPE)
    for signal in (case.signal([(1, 3)], (2, 2)), case.signal([(0, 2)], (4,))):
        case.signals.scatter(signal, tf.constant(value))
    assert np.allclose(case.result()[:, :3], 5)
    case.signals.scatter(case.signal([(0, 6)], (6, 2)), tf.zeros((6, 2)))
    assert np.array_equal(case.result(), np.zeros((3, 6, 2)))


def test_scatter_to_several_base_arrays(minibatch_size):
    case = Case(minibatch_size)
    case.signals.bases["other"] = case.base
    value = case.values(4, 2)
    signal = case.signal(
        [(0, 2), (3, 4), (5, 6)], (4, 2), key=("base", "other", "base")
    )
    case.signals.scatter(signal, tf.constant(value))
    first, second = np.split(value, [2], axis=case.axis)
    second, third = np.split(second, 2, axis=case.axis)
    value = np.concatenate([first, third], axis=case.axis)
    assert np.array_equal(case.result(), case.changed([0, 1, 5], lambda _: value))
    expected = case.changed(slice(3, 4), lambda _: second)
    assert np.array_equal(case.result("other"), expected)


@pytest.mark.parametrize("mode", ["update", "inc"])
def test_scatter_to_an_array_without_value(mode, minibatch_size):
    """Arrays that are set afresh in every step start as zeros."""
    case = Case(minibatch_size)
    case.signals.bases = {"base": case.array.shape}
    value = case.values(2, 2)
    signal = case.signal([(1, 3)], (2, 2))
    case.signals.scatter(signal, tf.constant(value), mode=mode)
    case.array[...] = 0
    assert np.array_equal(case.result(), case.changed(slice(1, 3), lambda _: value))


# -- several signals ------------------------------------------------------------------


def test_combine_nothing():
    assert SignalDict(DTYPE, 1).combine([]) == []


def test_combine_separate_signals(minibatch_size):
    case = Case(minibatch_size)
    parts = [case.signal([(0, 2)], (2, 2)), case.signal([(3, 6)], (3, 2))]
    combined = case.signals.combine(parts, label="both")
    assert combined.slices == ((0, 2), (3, 6))
    assert combined.shape == (5, 2)
    assert combined.key == "base"
    assert combined.label == "both"
    assert combined.minibatch_size == minibatch_size
    assert np.array_equal(case.signals.gather(combined), case.rows(0, 1, 3, 4, 5))


def test_combine_adjacent_signals(minibatch_size):
    case = Case(minibatch_size)
    parts = [case.signal([(0, 2)], (2, 2)), case.signal([(2, 6)], (4, 2))]
    combined = case.signals.combine(parts)
    assert combined.slices == ((0, 6),)
    assert case.signals.gather(combined) is case.base


def test_combine_scalars():
    case = Case(None, shape=(6,))
    combined = case.signals.combine(
        [case.signal([(0, 1)], ()), case.signal([(4, 5)], ())]
    )
    assert combined.shape == (2,)
    assert np.array_equal(case.signals.gather(combined), case.rows(0, 4))


def test_combine_different_signals():
    signals = SignalDict(DTYPE, 2)
    x = TensorSignal([(0, 2)], "key", DTYPE, (2, 3), None)
    for y in (
        TensorSignal([(0, 2)], "key", DTYPE, (2, 4), None),
        TensorSignal([(0, 2)], "key", DTYPE, (2, 3), 2),
    ):
        with pytest.raises(BuildError, match="agree in all but the first axis"):
            signals.combine([x, y])


class Op:
    def __init__(self, attr):
        self.attr = attr


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_op_constant(dtype):
    signals = SignalDict(DTYPE, 1)
    same = signals.op_constant([Op(2), Op(2)], [1, 3], "attr", dtype)
    assert (same.dtype, same.shape) == (dtype, ())
    assert same == 2

    different = signals.op_constant([Op(2), Op(3)], [1, 3], "attr", dtype)
    assert (different.dtype, different.shape) == (dtype, (1, 4))
    assert different.numpy().tolist() == [[2, 3, 3, 3]]

    arrays = [Op(2), Op(np.arange(3))]
    for shape, expected in [((-1,), (4,)), ((1, -1, 1), (1, 4, 1))]:
        constant = signals.op_constant(arrays, [1, 3], "attr", dtype, shape=shape)
        assert constant.shape == expected
        assert constant.numpy().ravel().tolist() == [2, 0, 1, 2]

    matrices = [Op(np.arange(6).reshape(2, 3)), Op(np.arange(4))]
    constant = signals.op_constant(matrices[:1], [1], "attr", dtype, (1, -1, 1))
    assert constant.shape == (1, 6, 1)
    constant = signals.op_constant(matrices, [1, 2], "attr", dtype, (-1,))
    assert constant.numpy().tolist() == [*range(6), *range(4), *range(4)]


# -- the mapping ----------------------------------------------------------------------


def test_get_tensor_signal():
    signals = SignalDict(DTYPE, 3)
    place = signals.get_tensor_signal(
        [(0, 2)], "key", DTYPE, (2, 4), True, label="label"
    )
    assert isinstance(place, TensorSignal)
    assert place.slices == ((0, 2),)
    assert (place.key, place.dtype, place.shape) == ("key", DTYPE, (2, 4))
    assert (place.minibatch_size, place.label) == (3, "label")
    assert len(signals) == 0


def test_get_tensor_signal_of_a_signal():
    signals = SignalDict(DTYPE, 3)
    signal = Signal(shape=(2, 4))
    place = signals.get_tensor_signal(
        [(0, 2)], "key", DTYPE, (2, 4), False, signal=signal
    )
    assert len(signals) == 1
    assert signal in signals
    assert signals[signal] is place
    assert list(signals) == [signal]
    assert list(signals.values()) == [place]


def test_get_tensor_signal_that_does_not_fit():
    signals = SignalDict(DTYPE, 3)
    signal = Signal(shape=(2, 4))
    for shape, minibatched in [((2, 4, 1), False), ((2, 3), False), ((2, 4), True)]:
        with pytest.raises(BuildError, match="place"):
            signals.get_tensor_signal(
                [(0, 2)], "key", DTYPE, shape, minibatched, signal=signal
            )
    assert len(signals) == 0


def test_constants():
    signals = SignalDict("float64", 3)
    assert signals.dtype is tf.float64
    assert signals.dtype.as_numpy_dtype is np.float64
    assert (signals.zero.dtype, signals.one.dtype) == (tf.float64, tf.float64)
    assert (signals.zero.numpy(), signals.one.numpy()) == (0, 1)
