import nengo
import numpy as np
import tensorflow as tf

from nengo_dl.signals import packing as module
from nengo_dl.signals.packing import Packing

SHAPES = {"a": (2, 3), "b": (1,), "c": (4,)}
DTYPES = {"a": "float32", "b": "int32", "c": "float32"}


def assert_packs(packing, n_vectors):
    arrays = [tf.random.uniform((2, 3)), tf.constant([7]), tf.random.uniform((4,))]
    vectors = packing.pack(arrays)
    assert len(vectors) == n_vectors
    assert [v.dtype.name for v in vectors] == packing.dtypes
    assert [v.shape[0] for v in vectors] == packing.sizes
    for key, array, unpacked in zip("abc", arrays, packing.unpack(vectors)):
        assert (unpacked.numpy() == array.numpy()).all()
        assert (packing.take(vectors, key).numpy() == array.numpy()).all()


def test_arrays_of_numpy():
    shapes = {0: (2, 3), 1: (1,), 2: (4,)}
    packing = Packing(shapes, {0: "float32", 1: "int32", 2: "float32"})
    vectors = packing.zeros()
    assert [v.dtype.name for v in vectors] == packing.dtypes
    assert not any(v.any() for v in vectors)
    for key, shape in shapes.items():
        packing.put(vectors, key, np.full(shape, key + 1))
    for key, unpacked in enumerate(packing.unpack(vectors)):
        np.testing.assert_array_equal(unpacked, np.full(shapes[key], key + 1))
        vector, start = packing.start(key)
        assert vectors[vector][start] == key + 1
        assert start == 0 or vectors[vector][start - 1] != key + 1


def test_one_vector_for_each_type():
    packing = Packing(SHAPES, DTYPES)
    assert packing.sizes == [10, 1]
    assert_packs(packing, 2)


def test_large_arrays_are_not_joined(monkeypatch):
    monkeypatch.setattr(module, "LARGE_BYTES", 24)
    assert Packing({**SHAPES, "d": (1,)}, {**DTYPES, "d": "float32"}).sizes == [6, 1, 5]
    assert_packs(Packing(SHAPES, DTYPES), 3)


def test_learning_with_large_arrays(Simulator, monkeypatch):
    monkeypatch.setattr(module, "LARGE_BYTES", 1)
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(10, 1)
        post = nengo.Node(size_in=1)
        rule = nengo.PES(learning_rate=1e-2)
        conn = nengo.Connection(pre, post, learning_rule_type=rule)
        nengo.Connection(nengo.Node([0.5]), conn.learning_rule)
        probes = nengo.Probe(post), nengo.Probe(conn, "weights")
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(8)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(5)
        sim.step()
        sim.run_steps(2)
        for probe in probes:
            for item in sim.data[probe]:
                np.testing.assert_allclose(item, reference.data[probe], atol=1e-5)
