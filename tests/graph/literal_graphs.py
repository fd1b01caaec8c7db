"""Literal operators and signals for tests of the graph layer."""

import numpy as np
from nengo.builder import Signal
from nengo.builder.operator import Operator
from nengo.builder.signal import SignalDict

from nengo_dl.builder import OpBuilder
from nengo_dl.graph_optimizer import noop_planner


class Op(Operator):
    """An operator that does nothing but to access signals."""

    def __init__(self, sets=(), incs=(), reads=(), updates=(), tag=None):
        super().__init__(tag=tag)
        self.sets = list(sets)
        self.incs = list(incs)
        self.reads = list(reads)
        self.updates = list(updates)

    def __str__(self):
        return f"Op({self.tag})"


class OtherOp(Op):
    """The same, of another type."""


class MergingBuilder(OpBuilder):
    """Merges everything that passes the general checks."""

    planner_priority = 1

    @staticmethod
    def mergeable(x, y):
        return True


class OtherMergingBuilder(MergingBuilder):
    planner_priority = 2


class LonelyBuilder(OpBuilder):
    """Merges nothing."""


def signal(shape=(1,), value=0.0, name=None, dtype="float64", **marks):
    """Return a signal filled with ``value``, with marks such as ``trainable``."""
    sig = Signal(np.full(shape, value, dtype=dtype), name=name)
    for mark, setting in marks.items():
        setattr(sig, mark, setting)
    return sig


def signals(n, shape=(1,), name="s"):
    return [signal(shape, name=f"{name}{i}") for i in range(n)]


def random_operators(rng, n_signals, n_operators):
    """Return operators that access signals and overlapping views at random."""
    bases = signals(n_signals, shape=(4,))
    parts = [part for x in bases for part in (x, x[:2], x[2:], x[1:3])]
    set_or_updated = {"sets": [], "updates": []}
    ops = []
    for _ in range(n_operators):
        chosen = list(rng.choice(len(parts), 3, replace=False))
        op = Op(reads=[parts[i] for i in chosen if rng.rand() < 0.4])
        for kind in ("sets", "incs", "updates"):
            target = parts[rng.randint(len(parts))]
            others = set_or_updated.get(kind, [])
            if any(target.may_share_memory(x) for x in [*others, *op.all_signals]):
                continue
            if rng.rand() < 0.5:
                getattr(op, kind).append(target)
                others.append(target)
        ops.append(op)
    return ops


def run(operators, n_steps=1, plan=None):
    """Run operators in NumPy, and return the values of all signals afterwards."""
    values = SignalDict()
    order = [op for group in plan or noop_planner(operators) for op in group]
    for op in order:
        op.init_signals(values)
    steps = [op.make_step(values, 0.001, np.random.RandomState(0)) for op in order]
    for _ in range(n_steps):
        for step in steps:
            step()
    return values


class Timeless(MergingBuilder):
    """Overwrites what it sets, in the same way in every step."""

    @staticmethod
    def carried(op):
        return []

    @staticmethod
    def timeless(op):
        return True


class Stateful(MergingBuilder):
    @staticmethod
    def carried(op):
        return []


def state(shape=(1,)):
    """Returns a signal with a minibatch axis."""
    return signal(shape, minibatched=True)
