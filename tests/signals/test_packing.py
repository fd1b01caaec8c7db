import numpy as np
import tensorflow as tf

from nengo_dl.signals.packing import Packing


def test_packing():
    packing = Packing(
        {"a": (2, 3), "b": (1,), "c": (4,)},
        {"a": "float32", "b": "int32", "c": "float32"},
    )
    arrays = [tf.random.uniform((2, 3)), tf.constant([7]), tf.random.uniform((4,))]
    vectors = packing.pack(arrays)
    assert [v.dtype.name for v in vectors] == packing.dtypes == ["float32", "int32"]
    assert packing.sizes == [10, 1]
    for key, array, unpacked in zip("abc", arrays, packing.unpack(vectors)):
        assert (unpacked.numpy() == array.numpy()).all()
        assert (packing.take(vectors, key).numpy() == array.numpy()).all()


def test_zeros():
    packing = Packing(
        {0: (2, 3), 1: (1,), 2: (4,)}, {0: "float32", 1: "int32", 2: "float32"}
    )
    vectors, arrays = packing.zeros()
    for i, array in enumerate(arrays):
        array[...] = i + 1
    for i, unpacked in enumerate(packing.unpack(vectors)):
        np.testing.assert_array_equal(unpacked, np.full(arrays[i].shape, i + 1))
    assert [v.dtype.name for v in vectors] == packing.dtypes
