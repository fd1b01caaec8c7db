import copy
import pickle

import nengo
import numpy as np
import pytest
from graph.literal_graphs import Op, run, signal
from nengo.builder.learning_rules import SimPES
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Operator,
    Reset,
    SparseDotInc,
)
from nengo.builder.processes import SimProcess
from nengo.builder.transforms import ConvInc, ConvTransposeInc

import nengo_dl.tensor_graph
from nengo_dl.builder import Builder, OpBuilder
from nengo_dl.graph.increments import (
    INCREMENTS,
    IncrementFacts,
    SettingOperator,
    facts_of,
    is_all_ones,
    is_exactly,
)
from nengo_dl.graph.operators import (
    ConvSet,
    ConvTransposeSet,
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SparseDotSet,
)
from nengo_dl.graph_optimizer import (
    remove_identity_muls,
    remove_reset_incs,
    remove_zero_incs,
    simplify,
)


class ProductInc(Operator):
    """``y += a * x``, with an extra buffer."""

    def __init__(self, a, x, y, tag=None):
        super().__init__(tag=tag)
        self.sets, self.incs, self.updates = [], [y], []
        self.reads = [a, x]
        self.buffer = signal(name="buffer")

    @property
    def _descstr(self):
        return f"times {self.a}"

    @property
    def a(self):
        return self.reads[0]

    def init_signals(self, signals):
        super().init_signals(signals)
        signals.init(self.buffer)

    def make_step(self, signals, dt, rng):
        a, x = (signals[s] for s in self.reads)
        buffer, y = signals[self.buffer], signals[self.incs[0]]

        def step():
            buffer[...] += 1
            y[...] += a * x

        return step


@pytest.fixture(autouse=True)
def builders(monkeypatch):
    """Forget what a test registers."""
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    known = dict(INCREMENTS)
    yield
    INCREMENTS.clear()
    INCREMENTS.update(known)


@pytest.fixture
def product_set():
    class ProductSet(
        SettingOperator,
        increment=ProductInc,
        is_product=True,
        units=(is_all_ones, is_all_ones),
    ):
        """``y = a * x``."""

    return ProductSet


SETTING = {
    ElementwiseInc: ElementwiseSet,
    DotInc: DotSet,
    SparseDotInc: SparseDotSet,
    ConvInc: ConvSet,
    ConvTransposeInc: ConvTransposeSet,
}


@pytest.mark.parametrize("increment", SETTING)
def test_setting_is_not_incrementing(increment):
    assert not issubclass(SETTING[increment], increment)
    assert issubclass(SETTING[increment], SettingOperator)
    assert INCREMENTS[increment].is_product
    assert not issubclass(ResetInc, Reset)


def test_setting_operator(product_set):
    a, x, y = signal(value=2.0), signal(value=3.0), signal(value=1.0)
    op = product_set(a, x, y=y, tag="tag")
    assert (op.sets, op.incs, op.reads, op.updates) == ([y], [], [a, x], [])
    assert op.a is a and op.increment.incs == [y]
    assert str(op) == f"ProductSet{{times {a} 'tag'}}" and op.tag == "tag"
    with pytest.raises(AttributeError, match="`b`|'b'"):
        _ = op.b
    values = run([op], n_steps=3)
    assert values[y] == 6 and values[op.buffer] == 3


def test_in_place_of(product_set):
    increment = ProductInc(*(signal() for _ in range(3)), tag="tag")
    before = [list(s) for s in (increment.sets, increment.incs, increment.reads)]
    op = product_set(in_place_of=increment)
    assert op.increment is increment and op.sets == increment.incs and op.tag == "tag"
    op.reads.append(signal())
    assert before == [increment.sets, increment.incs, increment.reads]


def test_setting_operators_can_be_copied():
    op = DotSet(signal((2, 3)), signal((3,)), signal((2,)), tag="tag")
    for other in (copy.copy(op), pickle.loads(pickle.dumps(op))):
        assert other.reshape is op.reshape and other.Y.shape == op.Y.shape
        assert other.sets[0] is other.Y and other.tag == "tag"


def test_subclasses_state_everything_themselves(product_set):
    with pytest.raises(TypeError, match="increment"):

        class Unknown(product_set):
            pass

    class MyProductInc(ProductInc):
        """Might add something else."""

    op = MyProductInc(signal(), signal(), signal())
    assert facts_of(op) is None
    assert facts_of(product_set(in_place_of=op)) is None

    class MyProductSet(product_set, increment=MyProductInc):
        pass

    facts = facts_of(op)
    assert facts is facts_of(facts.set_instead(op)) is INCREMENTS[MyProductInc]
    assert not facts.is_product and facts.units == ()
    assert isinstance(facts.set_instead(op), MyProductSet)


def test_unknown_operators():
    assert facts_of(Op()) is None
    assert facts_of(Reset(signal())) is None


def test_is_exactly():
    op = Copy(signal(), signal())
    assert is_exactly(op, Copy) and is_exactly(op, Reset, Copy)
    assert not is_exactly(op, Operator) and not is_exactly(op)


# -- the passes ask ------------------------------------------------------------------


def test_reset_and_increment(product_set):
    y = signal()
    ops = [Reset(y), ProductInc(signal(value=2.0), signal(value=3.0), y, tag="tag")]
    (op,) = remove_reset_incs(ops)
    assert isinstance(op, product_set) and op.increment is ops[1]
    assert op.sets == [y] and ops[1].incs == [y]
    assert run([op], n_steps=2)[y] == run(ops, n_steps=2)[y] == 6


@pytest.mark.parametrize("zero", (0, 1))
def test_zero_factors(product_set, zero):
    values = [1.0, 1.0]
    values[zero] = 0.0
    factors, y = [signal(value=value) for value in values], signal()
    assert remove_zero_incs([ProductInc(*factors, y)]) == []
    (op,) = remove_zero_incs([product_set(*factors, y)])
    assert is_exactly(op, Reset) and op.dst is y


@pytest.mark.parametrize("one", (0, 1))
@pytest.mark.parametrize("inc", (True, False))
def test_unit_factors(product_set, one, inc):
    values = [2.0, 2.0]
    values[one] = 1.0
    factors, y = [signal(value=value) for value in values], signal()
    (op,) = remove_identity_muls([(ProductInc if inc else product_set)(*factors, y)])
    assert is_exactly(op, Copy) and (op.dst, op.inc) == (y, inc)
    assert op.src is factors[1 - one]


def test_nothing_but_setting_is_known_by_default():
    class PlainSet(SettingOperator, increment=ProductInc):
        pass

    for value in (0.0, 1.0):
        ops = [ProductInc(signal(value=value), signal(), signal())]
        assert remove_zero_incs(ops) == remove_identity_muls(ops) == ops


def test_operators_that_must_stay():
    y = signal()
    ops = [Reset(y), ProductInc(signal(), signal(), y)]
    assert remove_reset_incs(ops) == ops  # which costs little in operators of NumPy
    Builder.register(ProductInc)(OpBuilder)
    with pytest.warns(UserWarning, match="Unknown incer type `ProductInc`"):
        assert remove_reset_incs(ops) == ops
    INCREMENTS[ProductInc] = IncrementFacts(lambda op: None)
    assert remove_reset_incs(ops) == ops
    assert INCREMENTS[Feed] == INCREMENTS[SimProcess]


def subclass_of(cls):
    return type(f"My{cls.__name__}", (cls,), {})


@pytest.mark.parametrize(
    "make_ops",
    (
        lambda x, y: [subclass_of(Reset)(x)],
        lambda x, y: [subclass_of(Reset)(x), Op(reads=[x]), Copy(x, y)],
        lambda x, y: [subclass_of(Copy)(x, y)],
        lambda x, y: [subclass_of(Copy)(signal((3,), 0.0), y, inc=True)],
        lambda x, y: [subclass_of(ElementwiseInc)(signal((3,), 0.0), x, y)],
        lambda x, y: [subclass_of(ElementwiseInc)(signal((3,), 1.0), x, y)],
        lambda x, y: [subclass_of(DotInc)(signal((), 1.0), x, y)],
        lambda x, y: [
            subclass_of(SimPES)(y, x[:1], delta := signal((1, 3)), 0.5),
            Copy(delta, signal((1, 3)), inc=True),
        ],
    ),
)
def test_subclasses_of_nengo_operators_are_left_alone(make_ops):
    ops = make_ops(signal((3,), 2.0), signal((3,), 2.0))
    assert simplify(ops) == ops


def test_reset_of_a_type_of_its_own_is_not_merged():
    y = signal((3,))
    ops = [subclass_of(Reset)(y), Copy(signal((3,), trainable=True), y, inc=True)]
    assert simplify(ops) == ops


# -- a network ---------------------------------------------------------------------


def test_same_numbers_as_nengo(product_set):
    @Builder.register(ProductInc)
    @Builder.register(product_set)
    class ProductBuilder(OpBuilder):
        def build_pre(self, signals, config):
            super().build_pre(signals, config)
            (self.op,) = self.ops

        def build_step(self, signals):
            (y,) = self.op.sets + self.op.incs
            a, x = map(signals.gather, self.op.reads)
            signals.scatter(y, a * x, mode="inc" if self.op.incs else "update")

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stimulus = nengo.Node(lambda t: [np.sin(40 * t), 2.0])
        relay, target = nengo.Node(size_in=2), nengo.Node(size_in=2)
        nengo.Connection(stimulus, relay, synapse=None)
        probe = nengo.Probe(target)
    model = nengo.builder.Model(dt=0.001)
    model.build(net)
    x, y = (model.sig[node]["in"] for node in (relay, target))
    model.add_op(ProductInc(x, x, y))

    with nengo.Simulator(
        None, model=model, progress_bar=False, optimize=False
    ) as reference:
        reference.run_steps(20)
        expected = np.array(reference.data[probe])
    with nengo_dl.Simulator(
        None, model=model, device="/cpu:0", progress_bar=False
    ) as sim:
        sim.run_steps(20)
        types = {type(ops[0]) for ops in sim.tensor_graph.plan}
    assert np.any(expected)
    np.testing.assert_allclose(sim.data[probe], expected, atol=1e-12)
    assert product_set in types and not types & {ProductInc, Reset}
