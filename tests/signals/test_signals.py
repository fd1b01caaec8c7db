"""Places of signals, and how they are read and written."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.signals import SignalDict, TensorSignal

DTYPE = "float32"


@pytest.fixture(params=[None, 1, 3], ids=["unbatched", "batch of 1", "batch of 3"])
def minibatch_size(request):
    return request.param


class Case:
    """A `SignalDict` with one base array of shape `([minibatch_size,] *shape)`."""

    def __init__(self, minibatch_size, shape=(6, 2), key="base"):
        self.minibatch_size = minibatch_size
        self.signals = SignalDict(DTYPE, minibatch_size or 1)
        batch = () if minibatch_size is None else (minibatch_size,)
        self.axis = len(batch)
        self.array = np.random.RandomState(0).rand(*batch, *shape).astype(DTYPE)
        self.base = tf.constant(self.array)
        self.signals.bases = {key: self.base}

    def signal(self, slices, shape, key="base", **kwargs):
        return TensorSignal(slices, key, DTYPE, shape, self.minibatch_size, **kwargs)

    def rows(self, *index):
        """Selects rows of the original array."""
        return np.take(self.array, index, axis=self.axis)

    def values(self, *shape):
        """Returns new values for a signal of a shape."""
        batch = self.array.shape[: self.axis]
        return np.random.RandomState(1).rand(*batch, *shape).astype(DTYPE)

    def changed(self, index, change):
        """Returns the original array with a part changed by a function."""
        array = self.array.copy()
        rows = (slice(None),) * self.axis + (index,)
        array[rows] = change(array[rows])
        return array

    def result(self, key="base"):
        return self.signals.bases[key].numpy()


# -- places ---------------------------------------------------------------------------


def test_slices_are_read_only():
    signal = TensorSignal([(0, 1), (2, 3)], "key", DTYPE, (2, 2), None)
    with pytest.raises(BuildError, match="Slices are read only"):
        signal.slices = ((0, 1),)
    with pytest.raises(TypeError):
        signal.slices[0] = (0, 1)
    with pytest.raises(TypeError):
        signal.slices[0][0] = 1


def test_shapes():
    signal = TensorSignal([(0, 4)], "key", DTYPE, (4, 3), None, label="name")
    assert (signal.ndim, signal.size) == (2, 12)
    assert (signal.key, signal.dtype, signal.shape) == ("key", DTYPE, (4, 3))
    assert not signal.minibatched
    assert signal.full_shape == (4, 3)
    assert signal.tf_shape.numpy().tolist() == [4, 3]
    assert repr(signal) == "<TensorSignal name: (4, 3) at (('key', 0, 4),)>"

    signal = TensorSignal([(0, 4)], "key", DTYPE, (4, 3), 5)
    assert signal.minibatched
    assert signal.full_shape == (5, 4, 3)
    assert signal.tf_shape.numpy().tolist() == [5, 4, 3]


def test_getitem():
    signal = TensorSignal([(1, 5)], "key", DTYPE, (4, 3), 2)

    part = signal[:2]
    assert part.slices == ((1, 3),)
    assert part.key == "key"
    assert part.shape == (2, 3)
    assert part.minibatch_size == 2

    assert signal[...] is signal
    assert signal[:] is signal
    assert signal[::2].slices == ((1, 2), (3, 4))
    assert signal[::-1].slices == ((4, 5), (3, 4), (2, 3), (1, 2))
    assert signal[[-1]].slices == ((4, 5),)
    assert signal[[True, False, True, True]].slices == ((1, 2), (3, 5))
    assert signal[[]].shape == (0, 3)


def test_getitem_of_separate_positions():
    signal = TensorSignal([(1, 6)], "key", DTYPE, (5, 3), None)
    part = signal[[0, 1, 3, 4]]
    assert part.slices == ((1, 3), (4, 6))
    assert part.shape == (4, 3)
    assert part[[1, 2]].slices == ((2, 3), (4, 5))


def test_reshape():
    signal = TensorSignal([(0, 2), (3, 5)], "key", DTYPE, (4, 3), None)
    for shape in ((4, 3), (12,), (2, 2, 3), (2, 6), (1, 4, 3, 1)):
        reshaped = signal.reshape(shape)
        assert reshaped.shape == shape
        assert reshaped.slices == signal.slices
        assert reshaped.key == signal.key
    assert signal.reshape((-1,)).shape == (12,)
    assert signal.reshape((2, -1, 3)).shape == (2, 2, 3)
    for shape in ((5, 3), (-1, 5), (-1, -1, 3), (12, 0)):
        with pytest.raises(BuildError, match="number of elements"):
            signal.reshape(shape)


def test_indices_of_one_piece():
    signal = TensorSignal([(2, 5)], "key", DTYPE, (3,), None)
    assert signal.tf_indices.numpy().tolist() == [2, 3, 4]
    start, stop = signal.tf_slice
    assert (start.numpy().tolist(), stop.numpy().tolist()) == ([2], [5])


def test_indices_of_several_pieces():
    signal = TensorSignal([(0, 2), (1, 2), (4, 6)], "key", DTYPE, (5,), None)
    assert signal.tf_indices.numpy().tolist() == [0, 1, 1, 4, 5]
    assert signal.tf_slice is None
    assert TensorSignal([], "key", DTYPE, (0,), None).tf_indices.shape == (0,)


@pytest.mark.parametrize("row", [(), (2,), (2, 3)])
def test_indices_nd(row, minibatch_size):
    case = Case(minibatch_size, shape=(6, *row))
    signal = case.signal([(0, 2), (3, 5)], (4, *row))
    values = tf.gather_nd(case.base, signal.tf_indices_nd)
    assert np.array_equal(values, case.rows(0, 1, 3, 4))


def test_adjacent_pieces_become_one():
    signal = TensorSignal([(0, 2), (2, 3), (4, 5)], "key", DTYPE, (4,), None)
    assert signal.slices == ((0, 3), (4, 5))


def test_pieces_of_several_base_arrays():
    signal = TensorSignal([(0, 2), (2, 3)], ("x", "y"), DTYPE, (3,), None)
    assert signal.slices == ((0, 2), (2, 3))
    assert signal.key == ("x", "y")
    assert signal.pieces == (("x", 0, 2), ("y", 2, 3))
    assert signal[1:].pieces == (("x", 1, 2), ("y", 2, 3))
    assert signal[:2].key == "x"


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


@pytest.mark.parametrize("index", [[0, 0, 3, 3], [0, 2, 4], [5, 0], [0, 2] * 20])
def test_gather_of_separate_rows(index, minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))
    assert np.array_equal(case.signals.gather(signal), case.rows(*index))
    assert case.signals.read_types == {"gather": 1}


def test_gather_from_several_base_arrays(minibatch_size):
    case = Case(minibatch_size)
    case.signals.bases["other"] = case.base + 1
    signal = case.signal(
        [(0, 2), (3, 4), (1, 2), (5, 6)], (5, 2), key=("base", "other", "base", "base")
    )
    expected = [case.rows(0, 1), case.rows(3) + 1, case.rows(1, 5)]
    expected = np.concatenate(expected, axis=case.axis)
    assert np.array_equal(case.signals.gather(signal), expected)


def test_gather_of_elements(minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(1, 4)], (2, 2), elements=np.array([0, 3, 5, 3]))
    flat = case.rows(1, 2, 3).reshape(*case.array.shape[: case.axis], 6)
    expected = flat[..., [0, 3, 5, 3]].reshape(*flat.shape[:-1], 2, 2)
    assert np.array_equal(case.signals.gather(signal), expected)
    assert np.array_equal(case.signals.gather(signal[1:]), expected[..., 1:, :])


def test_gather_of_rows_of_a_reshaped_signal(minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(0, 6)], (6, 2)).reshape((3, 4))[[2, 0]]
    expected = case.array.reshape(*case.array.shape[: case.axis], 3, 4)
    expected = np.take(expected, [2, 0], axis=case.axis)
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


@pytest.mark.parametrize("index", [[5, 0], [4, 2, 0], [5, 4, 3, 2, 1, 0]])
@pytest.mark.parametrize("max_pieces", [1, 8])
def test_scatter_to_separate_rows(index, max_pieces, minibatch_size, monkeypatch):
    monkeypatch.setattr("nengo_dl.signals.row_access.MAX_SLICES", max_pieces)
    case = Case(minibatch_size)
    value = case.values(len(index), 2)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))
    case.signals.scatter(signal, tf.constant(value))
    assert np.array_equal(case.result(), case.changed(index, lambda _: value))

    case.signals.bases["base"] = case.base
    case.signals.scatter(signal, tf.constant(value), mode="inc")
    assert np.allclose(case.result(), case.changed(index, lambda old: old + value))


@pytest.mark.parametrize(
    "index",
    [
        [2] * 40,
        [1, 2, 1, 2, 1, 2],
        [0, 1, 2, 3, 4, 5] * 3,
        [3, 3, 4, 4],
        [1, 2, 1, 5],
        [4, 0, 2] * 5,
    ],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_scatter_accumulates(index, jit_compile, minibatch_size):
    case = Case(minibatch_size)
    value = case.values(len(index), 2)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def increment(base, value):
        case.signals.bases["base"] = base
        case.signals.scatter(signal, value, mode="inc")
        return case.signals.bases["base"]

    expected = np.moveaxis(case.array.copy(), case.axis, 0)
    np.add.at(expected, index, np.moveaxis(value, case.axis, 0))
    result = increment(case.base, tf.constant(value))
    assert np.allclose(result, np.moveaxis(expected, 0, case.axis), atol=1e-5)


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
def test_scatter_to_elements(mode, minibatch_size):
    case = Case(minibatch_size)
    value = case.values(2, 2)
    elements = np.array([0, 3, 5, 2])
    signal = case.signal([(1, 4)], (2, 2), elements=elements)
    case.signals.scatter(signal, tf.constant(value), mode=mode)
    expected = case.array.copy()
    rows, columns = 1 + elements // 2, elements % 2
    flat = value.reshape(*case.array.shape[: case.axis], 4)
    expected[..., rows, columns] = flat + (
        expected[..., rows, columns] if mode == "inc" else 0
    )
    assert np.allclose(case.result(), expected)


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


def test_writes_have_gradients(minibatch_size):
    case = Case(minibatch_size)
    value = tf.constant(case.values(2, 2))
    for slices in ([(1, 3)], [(5, 6), (0, 1)]):
        signal = case.signal(slices, (2, 2))
        for mode in ("update", "inc"):
            case.signals.bases["base"] = case.base
            with tf.GradientTape() as tape:
                tape.watch([case.base, value])
                case.signals.scatter(signal, value, mode=mode)
                result = case.signals.bases["base"] ** 2
            gradients = tape.gradient(result, [case.base, value])
            twice = 2 * case.result()
            rows = [i for piece in slices for i in range(*piece)]
            written = np.take(twice, rows, axis=case.axis)
            assert np.allclose(gradients[1], written)
            if mode == "update":
                twice[(slice(None),) * case.axis + (rows,)] = 0
            assert np.allclose(gradients[0], twice)


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


def test_combine_elements(minibatch_size):
    case = Case(minibatch_size)
    parts = [
        case.signal([(0, 2)], (2, 2)),
        case.signal([(1, 4)], (1, 2), elements=np.array([0, 5])),
    ]
    value = case.signals.gather(case.signals.combine(parts))
    batch = case.array.shape[: case.axis]
    picked = case.rows(1, 2, 3).reshape(*batch, 6)[..., [0, 5]].reshape(*batch, 1, 2)
    expected = np.concatenate([case.rows(0, 1), picked], axis=case.axis)
    assert np.array_equal(value, expected)


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


def test_reset():
    case = Case(None)
    case.signals.reset()
    assert case.signals.bases == {}
