import itertools

import numpy as np
import pytest
from graph.literal_graphs import (
    LonelyBuilder,
    MergingBuilder,
    Op,
    OtherOp,
    signal,
    signals,
)
from nengo.builder import Signal
from nengo.builder.operator import Copy
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix

from nengo_dl.builder import OpBuilder
from nengo_dl.graph.merge import merge_classes
from nengo_dl.graph_optimizer import mergeable

pytestmark = pytest.mark.usefixtures("builders")


def sparse_signal(shape):
    return Signal(SparseMatrix([[0, 0]], [1.0], shape), name="sparse")


def test_anything_merges_with_an_empty_group():
    assert mergeable(None, [])


@pytest.mark.parametrize("access", ("sets", "incs", "reads", "updates"))
def test_numbers_of_signals(access):
    x, y = signals(2)
    assert mergeable(Op(**{access: [x]}), [Op(**{access: [y]})])
    assert not mergeable(Op(**{access: [x]}), [Op(**{access: [x, y]})])
    assert not mergeable(Op(**{access: [x]}), [Op()])


@pytest.mark.parametrize("access", ("sets", "incs", "reads", "updates"))
@pytest.mark.parametrize(
    "x, y, expected",
    (
        (signal((2, 3)), signal((2, 3)), True),
        (signal(dtype="float32"), signal(dtype="float64"), False),
        (signal((2, 3)), signal((2, 4)), False),  # shape beyond the first axis
        (signal((2, 3)), signal((5, 3)), True),
        (signal((2,)), signal((2, 1)), False),
        (signal(()), signal((1,)), True),
        (signal((4, 4))[:, :2], signal((4, 4))[:, :3], False),  # shape of the view
        (signal((4, 4))[:, :2], signal((4, 5))[:, :2], False),  # shape of the base
        (signal((4, 4))[:2], signal((4, 4))[:3], True),
        (signal((2, 2)), sparse_signal((2, 2)), False),
        (sparse_signal((2, 2)), sparse_signal((4, 5)), True),
        (signal(trainable=True), signal(trainable=True), True),
        (signal(trainable=True), signal(trainable=False), False),
        (signal(trainable=False), signal(), False),
        (signal(minibatched=True), signal(minibatched=False), False),
        (signal(minibatched=False), signal(), False),
        (signal((2,), trainable=True)[:1], signal()[:], False),
    ),
)
def test_signals_that_agree(access, x, y, expected):
    assert mergeable(Op(**{access: [x]}), [Op(**{access: [y]})]) is expected
    assert merge_classes([Op(**{access: [x]}), Op(**{access: [y]})]) == [
        0,
        int(not expected),
    ]


def test_sets_and_increments_do_not_merge():
    x, y, z = signals(3)
    assert mergeable(Copy(x, y, inc=True), [Copy(x, z, inc=True)])
    assert not mergeable(Copy(x, y, inc=True), [Copy(x, z)])


def test_builders_decide(builders):
    x, y = signals(2)

    class SameTag(MergingBuilder):
        @staticmethod
        def mergeable(x, y):
            return x.tag == y.tag

    builders[Op] = SameTag
    a, b, a2 = Op(reads=[x], tag="a"), Op(reads=[x], tag="b"), Op(reads=[y], tag="a")
    assert not mergeable(a, [b])
    assert mergeable(a, [a2])
    assert merge_classes([a, b, a2]) == [0, 1, 0]


def test_different_builders_do_not_merge(builders):
    x, y = signals(2)
    assert not mergeable(Op(reads=[x]), [OtherOp(reads=[y])])
    builders[OtherOp] = builders[Op]
    assert mergeable(Op(reads=[x]), [OtherOp(reads=[y])])


def test_unregistered_type(builders):
    del builders[OtherOp]
    x, y = signals(2)
    with pytest.raises(BuildError, match="No registered builder"):
        mergeable(OtherOp(reads=[x]), [Op(reads=[y])])
    with pytest.raises(BuildError, match="No registered builder"):
        merge_classes([Op(reads=[x]), OtherOp(reads=[y])])


def test_classes_are_those_of_pairwise_comparison(builders):
    class SameFirstAxis(MergingBuilder):
        @staticmethod
        def mergeable(x, y):
            return x.reads[0].shape == y.reads[0].shape

    builders[Op] = SameFirstAxis
    rng = np.random.RandomState(0)
    ops = [
        rng.choice([Op, OtherOp])(reads=[signal(tuple(rng.randint(1, 4, size=2)))])
        for _ in range(40)
    ]
    classes = merge_classes(ops)
    for (x, x_class), (y, y_class) in itertools.product(zip(ops, classes), repeat=2):
        assert mergeable(x, [y]) == (x_class == y_class)


def test_operators_are_compared_with_representatives_only(builders):
    calls = []

    class Counting(LonelyBuilder):
        @staticmethod
        def mergeable(x, y):
            calls.append((x, y))
            return x.tag == y.tag

    builders[Op] = Counting
    ops = [Op(reads=[signal()], tag=i % 2) for i in range(100)]
    assert merge_classes(ops) == 50 * [0, 1]
    # the first two with each other, all others with one or both; none with itself
    assert len(calls) == 1 + 49 + 2 * 49
    assert not any(x is y for x, y in calls)


def test_builders_that_merge_nothing_are_not_asked(builders):
    builders[Op] = type("Lonely", (OpBuilder,), {})
    assert OpBuilder.mergeable is builders[Op].mergeable
    assert merge_classes([Op(reads=[signal()]) for _ in range(3)]) == [0, 1, 2]
