import nengo
import numpy as np
import pytest
from builder.operators import Op
from nengo.exceptions import NengoWarning

from nengo_dl.builder import NengoBuilder, NengoModel, build_model, nengo_precision
from nengo_dl.config import configure_settings


def test_fail_fast():
    NengoModel(fail_fast=False).add_op(op := Op())
    with pytest.raises(NotImplementedError):
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
