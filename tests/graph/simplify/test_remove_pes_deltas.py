import numpy as np
import pytest
from graph.literal_graphs import signal
from nengo.builder.learning_rules import SimPES
from nengo.builder.operator import Copy, ElementwiseInc, Reset

from nengo_dl.graph.operators import SimPESFactors
from nengo_dl.graph_optimizer import remove_pes_deltas

pytestmark = pytest.mark.usefixtures("builders")


def pes(n_rows=2, n_columns=3, initial=0.0):
    pre, error = signal((n_columns,), name="a"), signal((n_rows,), name="e")
    delta = signal((n_rows, n_columns), initial, name="delta")
    return SimPES(pre, error, delta, 0.5, tag="rule")


def change(op, weights=None, inc=True, **kwargs):
    weights = signal(op.delta.shape, 1.0, name="w") if weights is None else weights
    return Copy(op.delta, weights, inc=inc, tag="change", **kwargs)


@pytest.mark.parametrize("minibatched", [True, False])
def test_factors(minibatched):
    op = pes()
    op.delta.minibatched = minibatched
    copy, other = change(op), Reset(signal())
    product, kept, factors = remove_pes_deltas([copy, other, op])
    assert kept is other
    assert type(product) is ElementwiseInc and type(factors) is SimPESFactors
    assert (product.tag, factors.tag) == ("change", "rule")
    assert factors.learning_rate == 0.5
    assert product.Y is copy.dst
    assert factors.reads == [op.pre_filtered, op.error]
    assert factors.updates == [product.A, product.X]
    assert [s.shape for s in factors.updates] == [(2, 1), (1, 3)]
    assert all(s.minibatched is minibatched for s in factors.updates)
    assert all(s.trainable is None for s in factors.updates)
    assert remove_pes_deltas([product, kept, factors]) == [product, kept, factors]


def test_same_numbers():
    rng = np.random.RandomState(0)
    op = pes()
    copy = change(op)
    before, after = [copy, op], remove_pes_deltas([copy, op])
    signals = {
        s: np.array(s.initial_value) for o in (*before, *after) for s in o.all_signals
    }
    results = []
    for operators in (before, after):
        values = {s: v.copy() for s, v in signals.items()}
        steps = [o.make_step(values, 0.001, None) for o in operators]
        rng.seed(1)
        for _ in range(4):
            values[op.pre_filtered][...] = rng.uniform(size=3)
            values[op.error][...] = rng.uniform(size=2)
            for step in steps:
                step()
        results.append(values[copy.dst])
    np.testing.assert_array_equal(*results)
    assert np.all(results[0] != 1)


def several_readers():
    op = pes()
    return [change(op), change(op), op]


def without_readers():
    return [pes()]


def several_rows_for_one_error():
    op = SimPES(signal((3,)), signal((1,)), signal((2, 3)), 0.5)
    return [change(op), op]


def initial_change():
    op = pes(initial=1.0)
    return [change(op), op]


def part_of_the_change():
    op = pes()
    return [change(op, src_slice=slice(0, 1)), op]


def other_order():
    op = pes()
    return [change(op, dst_slice=[1, 0]), op]


def set_and_not_added():
    op = pes()
    return [change(op, inc=False), op]


@pytest.mark.parametrize(
    "make",
    [
        several_readers,
        without_readers,
        several_rows_for_one_error,
        initial_change,
        part_of_the_change,
        other_order,
        set_and_not_added,
    ],
)
def test_what_stays(make):
    operators = make()
    assert remove_pes_deltas(operators) == operators
