import pytest
import tensorflow as tf
from builder.operators import Op
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import Builder, OpBuilder


def test_unknown_operator():
    with pytest.raises(BuildError, match="No registered builder.*`Op`"):
        Builder([(Op(),)])


def test_subclasses_are_not_built_as_their_parents(registry):
    Builder.register(Op)(OpBuilder)

    class OtherOp(Op):
        pass

    with pytest.raises(BuildError, match="No registered builder.*`OtherOp`"):
        Builder([(OtherOp(),)])


def test_life_of_a_builder(registry):
    calls = []

    @Builder.register(Op)
    class Build(OpBuilder):
        def build_pre(self, signals, config):
            super().build_pre(signals, config)
            calls.append("pre")

        def build_step(self, signals):
            calls.append("step")
            return 0, tf.constant(1)

        def build_post(self, signals):
            calls.append("post")

    ops = (Op(),)
    builder = Builder([ops])
    assert isinstance(builder.op_builds[ops], Build)
    assert builder.op_builds[ops].ops is ops

    builder.build_pre(None, "config")
    side_effects = builder.build_step(None)
    builder.build_post(None)
    assert calls == ["pre", "step", "post"]
    assert [int(value) for value in side_effects] == [0, 1]
    assert builder.op_builds[ops].config == "config"


def test_side_effects(registry):
    outputs = iter([None, 1, [2, 3]])

    @Builder.register(Op)
    class Build(OpBuilder):
        def build_step(self, signals):
            return next(outputs)

    assert Builder([(Op(),) for _ in range(3)]).build_step(None) == [1, 2, 3]


def test_builder_without_step(registry):
    Builder.register(Op)(type("Incomplete", (OpBuilder,), {}))
    builder = Builder([(Op(),)])
    with pytest.raises(BuildError, match="`Incomplete`.*implement a `build_step`"):
        builder.build_step(None)


def test_careless_registration(registry):
    with pytest.warns(UserWarning, match="`int`.*does not inherit from `OpBuilder`"):
        Builder.register(Op)(int)
    with pytest.warns(UserWarning, match="already has a builder.*`int`"):
        assert Builder.register(Op)(OpBuilder) is OpBuilder
    assert Builder.builder_of(Op()) is OpBuilder


def test_defaults_of_builders():
    builder = OpBuilder([Op()])
    assert builder.pure
    assert not OpBuilder.mergeable(Op(), Op())
    assert builder.rngs() == []
    signal = Signal(shape=(1,))
    assert OpBuilder.carried(Reset(signal)) == [signal]


def test_names_of_groups():
    assert Builder.name_scope([Op()]) == "Op"
    assert Builder.name_scope([Op(), Op()]) == "Op_2"
