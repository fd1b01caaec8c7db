"""
Every builder of a basic operator, against the operator's own NumPy step.

`builder_oracle.check` gives all signals random values, for minibatches of one and of
several items, and compares all signals after the step.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from builder_oracle import check, gradients, make_step, signal, view
from nengo.builder.operator import Copy, TimeUpdate
from nengo.builder.probe import SimProbe
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import Builder
from nengo_dl.graph.joining import JoinColumns
from nengo_dl.graph.operators import ResetInc, reset_to
from nengo_dl.op_builders.base import MAX_FEW, MIN_ALONE, are_better_alone

jit = pytest.mark.parametrize("jit_compile", [False, True])


# -- Reset ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [reset_to, ResetInc])
def test_reset(make):
    check([make(signal(3), 1.5)])
    check([make(signal(), 1.5), make(signal(1), -2)])
    check([make(signal(2, 3), 1.5), make(signal(4, 3), 1.5)])
    check([make(signal(3), np.arange(3.0)), make(signal(2), 1.0)])
    check([make(view((5,), slice(1, 3)), 2.0), make(view((4,), slice(0, 4, 2)), 3.0)])


def test_reset_of_a_column():
    check([reset_to(view((4, 3), (slice(None), slice(1, 2))), 2.0)])


def test_reset_of_integers():
    dst = Signal(np.zeros(2, dtype=int))
    check([reset_to(dst, 3)])


# -- Copy -----------------------------------------------------------------------------


@jit
@pytest.mark.parametrize("inc", [False, True])
def test_copy(inc, jit_compile):
    def run(*args, **kwargs):
        check([Copy(*args, inc=inc, **kwargs)], jit_compile=jit_compile)

    run(signal(3), signal(3))
    run(signal(), signal())
    run(signal(2, 3), signal(2, 3))
    run(signal(3, shared=True), signal(3))
    run(signal(6), signal(3), src_slice=slice(0, 6, 2))
    run(signal(3), signal(6), dst_slice=slice(1, None, 2))
    run(signal(6), signal(3), src_slice=[5, 0, 2])
    run(signal(6), signal(3), src_slice=[1, 1, 1])
    run(signal(6), signal(3), src_slice=[-1, -6, 2])
    run(signal(3), signal(6), dst_slice=[-1, 0, 2])
    run(signal(6), signal(7), src_slice=[3, 1], dst_slice=[0, -1])
    run(signal(2), signal(4), dst_slice=np.array([True, False, False, True]))
    run(signal(4), signal(2), src_slice=[False, True, True, False])
    run(signal(1), signal(4))
    run(signal(1), signal(4), dst_slice=[0, 2])
    run(signal(3, 2), signal(5, 2), dst_slice=[4, 0, 1])
    run(view((5, 4), (slice(1, 4), slice(None, None, 2))), signal(3, 2))
    run(signal(3, 2), view((5, 4), (slice(1, 4), slice(None, None, 2))))


def test_copy_accumulates_repeated_indices():
    check([Copy(signal(4), signal(3), dst_slice=[0, 2, 0, -1], inc=True)])


def test_copy_to_repeated_indices():
    op = Copy(signal(3), signal(3), dst_slice=[0, 2, -1])
    with pytest.raises(BuildError, match="must not contain an element twice"):
        make_step([op], 1).start({})


@jit
def test_merged_copies(jit_compile):
    target = signal(4)
    check(
        [
            Copy(signal(3), signal(3)),
            Copy(signal(6), signal(2), src_slice=[5, 0]),
            Copy(signal(2), signal(7), dst_slice=[0, 3]),
        ],
        jit_compile=jit_compile,
    )
    check(
        [
            Copy(signal(4), target, inc=True),
            Copy(signal(4), target, inc=True),
            Copy(signal(2), target, dst_slice=[3, 0], inc=True),
            Copy(signal(3), signal(3), inc=True),
        ],
        jit_compile=jit_compile,
    )
    check([Copy(signal(1), signal(3)), Copy(signal(2), signal(2))])


@pytest.mark.parametrize("length", [1, 3])
@jit
def test_parameters_are_repeated_in_training(jit_compile, length):
    """The gradients are those of a value that every item reads."""
    biases = [signal(length, shared=True), signal(3, shared=True)]
    target = signal(3)

    def found(trainable):
        for bias in biases:
            bias.trainable = trainable
        ops = [Copy(bias, target, inc=True) for bias in biases]
        return gradients(ops, 2, jit_compile)

    expected, step = found(None)
    (build,) = step.builder.op_builds.values()
    assert not build.repeated
    repeated, step = found(True)
    (build,) = step.builder.op_builds.values()
    assert build.repeated.keys() == set(range(len(build.pairs)))
    by_size = {g.shape: g.numpy() for g in expected.values()}
    for gradient in repeated.values():
        assert np.any(gradient != 0)
        np.testing.assert_allclose(gradient, by_size[gradient.shape], rtol=1e-12)


@pytest.mark.parametrize("n, are_alone", [(MIN_ALONE // 2, True), (5, False)])
def test_large_copies_are_not_put_side_by_side(n, are_alone):
    source, target = signal(3 * n), signal(n)
    ops = [Copy(source[i : i + n], target, inc=True) for i in (0, 2 * n)]
    check(ops)
    step = make_step(ops, 2)
    step.start({})
    (build,) = step.builder.op_builds.values()
    assert len(build.pairs) == (2 if are_alone else 1)


def test_many_copies_are_put_side_by_side():
    """However many items there are: large is what has many elements of each."""
    for n_pieces, n_elements, alone in [
        (MAX_FEW, 11, True),
        (MAX_FEW, 10, False),
        (MAX_FEW + 1, MIN_ALONE - 1, False),
        (MAX_FEW + 1, MIN_ALONE, True),
    ]:
        place = SimpleNamespace(
            pieces=range(n_pieces), minibatch_size=100, size=n_elements * n_pieces
        )
        signals = SimpleNamespace(combine=lambda _, place=place: place)
        assert are_better_alone(signals, range(n_pieces), range(n_pieces)) == alone


def test_many_increments_of_one_signal():
    target = signal(1)
    ops = [Copy(signal(1), target, inc=True) for _ in range(1000)]
    check(ops, atol=1e-10)

    step = make_step(ops, 2)

    def build():
        step.start({})
        step.signals.bases = {
            key: tf.zeros(array.full_shape(2), tf.float64)
            for key, array in step.program.layout.arrays.items()
        }
        step.builder.build_step(step.signals)

    graph = tf.function(build, autograph=False).get_concrete_function().graph
    assert len(graph.get_operations()) < 50


def test_copy_carries_what_it_does_not_write():
    dst = signal(3)
    builder = Builder.builder_of(Copy(signal(3), dst))
    assert builder.carried(Copy(signal(3), dst)) == []
    assert builder.carried(Copy(signal(1), dst, dst_slice=[1])) == [dst]


# -- the rest -------------------------------------------------------------------------


def test_time_update():
    step, time = Signal(np.array(4)), Signal(np.array(0.004))
    step.minibatched = time.minibatched = False
    check([TimeUpdate(step, time)], n_steps=3)


def test_sim_probe():
    check([SimProbe(signal(3))])


# -- JoinColumns ----------------------------------------------------------------------


@jit
def test_join_columns(jit_compile):
    def run(*args):
        check([JoinColumns(*args)], jit_compile=jit_compile)

    run([signal(4), signal(2), signal(6)], signal(12), 2)
    run([signal(3, shared=True), view((8,), slice(1, 7))], signal(9), 3)
    run([signal(3, shared=True), signal(3, shared=True)], signal(6, shared=True), 3)
    same = signal(3)
    run([same, same], signal(6), 3)
