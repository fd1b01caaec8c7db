"""Which object the parts of the state belong to."""

import nengo
import numpy as np
import pytest
from nengo.builder.learning_rules import SimPES
from numpy_operators import Delay

from nengo_dl.builder import build_model
from nengo_dl.config import Settings, configure_settings
from nengo_dl.graph.program import compile_model
from nengo_dl.simulation.owners import owner_of, signal_owners


def make_network():
    with nengo.Network(seed=0) as net:
        configure_settings(training_synapse=None)
        inp = nengo.Node([0.5])
        # one synapse for several Connections and Probes
        synapse = nengo.Alpha(0.01)
        net.a, net.b = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        net.a.noise = nengo.processes.FilteredNoise()
        net.first = nengo.Connection(inp, net.a, synapse=synapse)
        net.second = nengo.Connection(
            net.a, net.b, synapse=synapse, learning_rule_type={"pes": nengo.PES()}
        )
        nengo.Connection(inp, net.second.learning_rule["pes"], synapse=None)
        net.voja = nengo.Connection(
            net.a, net.b, synapse=Delay(2), learning_rule_type=nengo.Voja()
        )
        net.decoded = nengo.Probe(net.b, synapse=synapse)
        net.voltage = nengo.Probe(net.b.neurons, "voltage", synapse=synapse)
        net.probe = nengo.Probe(net.b.neurons)
        net.config[net.first].training_synapse = nengo.Lowpass(0.1)
    return net


@pytest.fixture(scope="module", params=[True, False])
def compiled(request):
    net = make_network()
    settings = Settings(optimize=request.param)
    program = compile_model(build_model(net, 0.001), settings)
    return net, program, signal_owners(program)


def kept(compiled):
    """Return who owns the signals that are kept from step to step."""
    _, program, owners = compiled
    arrays = [program.layout.arrays[key] for key in program.carried]
    signals = [s for array in arrays for s in array.signals]
    return {s: owners.get(s) for s in signals if s is not program.model.step}


def test_everything_belongs_to_an_object(compiled):
    net = compiled[0]
    objects = [net.a.neurons, net.b.neurons, net.first, net.second, net.voja]
    objects += [net.second.learning_rule["pes"], net.voja.learning_rule]
    objects += [net.b, net.decoded, net.voltage]
    owners = kept(compiled)
    assert None not in owners.values()
    assert {owner.obj for owner in owners.values()} == set(objects)


def test_names(compiled):
    net, program, _ = compiled
    names = {(owner.obj, owner.attr) for owner in kept(compiled).values()}
    rule = net.second.learning_rule["pes"]
    for obj, attr in [
        (net.b.neurons, "voltage"),
        (net.b, "encoders"),
        (net.second, "weights"),
        (net.first, "Alpha.X"),
        (net.first, "Lowpass.X"),
        (net.second, "Alpha.X"),
        (rule, "activities"),
        (net.decoded, "Alpha.X"),
        (net.voltage, "filtered"),
    ]:
        assert (obj, attr) in names
    # weights change by what the rule has kept
    kept_by_rule = {attr for obj, attr in names if obj == rule}
    assert kept_by_rule & {"delta", "SimPESFactors[2]"}


def test_owners_of_operators(compiled):
    net, program, owners = compiled
    for op in program.model.operators:
        if isinstance(op, SimPES):
            assert owner_of(op, owners) == net.second.learning_rule["pes"]
        if getattr(op, "process", None) is net.a.noise:
            assert owner_of(op, owners) == net.a.neurons
    assert (
        owner_of(
            nengo.builder.operator.TimeUpdate(program.model.step, program.model.time),
            owners,
        )
        is None
    )


def test_signals_that_nobody_lists():
    """They belong to the object that they are computed from."""
    with nengo.Network() as net:
        node = nengo.Node([1.0])
    model = build_model(net, 0.001)
    one, sums = (nengo.builder.Signal(np.zeros(1)) for _ in range(2))
    output = model.sig[node]["out"]
    model.add_op(nengo.builder.operator.Copy(output, one))
    model.add_op(nengo.builder.operator.Copy(one, sums, inc=True))
    owners = signal_owners(compile_model(model, Settings()))
    assert owners[one] == (node, "Copy[1]")
    assert owners[sums] == (node, "Copy[1]")
    assert model.step not in owners
