import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError, NengoWarning

from nengo_dl.builder import (
    Builder,
    NengoBuilder,
    NengoModel,
    OpBuilder,
    build_model,
    nengo_precision,
)
from nengo_dl.config import configure_settings


class Op(nengo.builder.operator.Operator):
    """An operator that Nengo cannot run."""

    def __init__(self):
        super().__init__()
        self.sets = self.incs = self.reads = self.updates = []

    def make_step(self, signals, dt, rng):
        raise RuntimeError("there is no step")


@pytest.fixture
def registry(monkeypatch):
    """Let a test change the registries of builders."""
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    monkeypatch.setattr(NengoBuilder, "builders", dict(NengoBuilder.builders))


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


def test_fail_fast():
    NengoModel(fail_fast=False).add_op(op := Op())
    with pytest.raises(RuntimeError, match="there is no step"):
        NengoModel(fail_fast=True).add_op(op)


def test_own_build_functions(registry):
    built = []

    @NengoBuilder.register(nengo.Node)
    def build_node(model, node):
        built.append(node)
        nengo.builder.node.build_node(model, node)

    with nengo.Network() as net:
        node = nengo.Node([1])
        nengo.Ensemble(5, 1)
    build_model(net, dt=0.001)
    assert built == [node]

    nengo.builder.Model().build(net)
    assert built == [node]


def test_own_build_functions_of_parent_classes(registry):
    class Rule(nengo.PES):
        pass

    @NengoBuilder.register(nengo.PES)
    def build_pes(model, pes, rule):
        raise NotImplementedError("own")

    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
        nengo.Connection(ens, ens, learning_rule_type=Rule())
    with pytest.raises(NotImplementedError, match="own"):
        build_model(net, dt=0.001)


def test_build_model():
    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
    model = build_model(net, dt=0.002)
    assert isinstance(model, NengoModel)
    assert model.dt == 0.002
    assert model.toplevel is net
    assert model.params[ens].bias.dtype == np.float32  # our default

    again = nengo.builder.Model(dt=0.002)
    assert build_model(net, 0.002, again) is again
    assert again.toplevel is net
    assert build_model(None, 0.002, again) is again


def test_time_step_of_a_given_model():
    model = nengo.builder.Model(dt=0.002)
    with pytest.warns(NengoWarning, match="dt=0.002, which takes the place of dt=0.01"):
        build_model(None, 0.01, model)
    assert model.dt == 0.002


def test_precision():
    before = nengo.rc.get("precision", "bits")
    with pytest.raises(RuntimeError, match="inside"), nengo_precision("float16"):
        assert nengo.rc.float_dtype == np.float16
        raise RuntimeError("inside")
    assert nengo.rc.get("precision", "bits") == before


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_type_of_signals(dtype):
    with nengo.Network() as net:
        inp = nengo.Node([0])
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(11, 1)
        nengo.Connection(inp, a, synapse=0.1)
        nengo.Connection(a, b, learning_rule_type=nengo.PES())
        nengo.Probe(b, synapse=0.1)
        configure_settings(dtype=dtype)
    model = build_model(net, dt=0.001)
    bits = int(dtype.removeprefix("float"))
    signals = {signal for op in model.operators for signal in op.all_signals}
    assert {s.dtype for s in signals} == {np.dtype(dtype), np.dtype(f"int{bits}")}
