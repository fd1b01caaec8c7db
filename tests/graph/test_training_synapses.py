import pickle

import nengo
import pytest
from nengo.builder.operator import Copy
from nengo.builder.processes import SimProcess
from nengo.exceptions import BuildError
from nengo.synapses import Alpha, Lowpass, Synapse

from nengo_dl.builder import build_model
from nengo_dl.config import Settings, configure_settings
from nengo_dl.graph.program import compile_model
from nengo_dl.graph.training_synapses import find_replacements, sort_groups


def replacements_of(net):
    """The synapses in training, by object."""
    replacements = find_replacements(build_model(net, dt=0.001))
    return {
        r.obj: None if r.is_immediate else r.operators[0].process
        for r in replacements.values()
    }


def compiled(net):
    model = build_model(net, dt=0.001)
    return compile_model(model, Settings.of(model))


def chain():
    with nengo.Network(seed=0) as net:
        configure_settings(training_synapse=None)
        net.nodes_in = [nengo.Node(size_in=1, label=str(i)) for i in range(3)]
        a, b, c = net.nodes_in
        net.first = nengo.Connection(a, b, label="first")
        net.second = nengo.Connection(b, c, label="second")
        net.unfiltered = nengo.Connection(a, c, synapse=None, label="unfiltered")
        net.probe = nengo.Probe(c, synapse=0.1)
        net.ensemble = nengo.Ensemble(5, 1, label="ensemble")
        net.decoded = nengo.Probe(net.ensemble, synapse=0.1)
    return net


# (Nengo's warning, of every Node that is unpickled)
@pytest.mark.filterwarnings("ignore:'Node.size_out' is being overwritten")
def test_settings():
    net = chain()
    assert replacements_of(net) == {}
    assert compiled(net).training is None

    net.config[net.first].training_synapse = Lowpass(0.02)
    net.config[net.second].training_synapse = net.second.synapse
    net.config[net.probe].training_synapse = None
    net.config[net.unfiltered].training_synapse = None
    expected = {net.first: Lowpass(0.02), net.probe: None}
    assert replacements_of(net) == expected

    # those of a type, for what has a synapse; those of objects come first
    net.config[nengo.Connection].training_synapse = None
    net.config[nengo.Probe].training_synapse = 0.3
    assert replacements_of(net) == {**expected, net.decoded: Lowpass(0.3)}
    del net.config[net.second].training_synapse
    expected = {**expected, net.decoded: Lowpass(0.3), net.second: None}
    assert replacements_of(net) == expected
    copies = replacements_of(pickle.loads(pickle.dumps(net)))
    assert list(copies.values()) == list(replacements_of(net).values())

    with net:
        configure_settings(training_synapse=None)
    assert set(replacements_of(net)) == {net.first, net.probe}


def test_settings_of_subnetworks():
    with nengo.Network() as net:
        configure_settings(training_synapse=0.1)
        with nengo.Network():
            configure_settings(training_synapse=Alpha(0.2))
            inner = nengo.Connection(nengo.Node([0]), nengo.Node(size_in=1))
        outer = nengo.Probe(inner.post, synapse=0.01)
        with nengo.Network():
            other = nengo.Probe(inner.post, synapse=0.01)
    expected = {inner: Alpha(0.2), outer: Lowpass(0.1), other: Lowpass(0.1)}
    assert replacements_of(net) == expected


def test_no_synapse_to_replace():
    net = chain()
    net.config[net.unfiltered].training_synapse = 0.1
    with pytest.raises(BuildError, match=r"unfiltered.* has none \(.*Lowpass\(tau=0.1"):
        compiled(net)


def test_training_synapse_in_python():
    class Python(Synapse):
        def make_state(self, shape_in, shape_out, dt, dtype=None):
            return {}

        def make_step(self, shape_in, shape_out, dt, rng, state):
            return lambda t, x: x

    net = chain()
    net.config[net.first].training_synapse = Python()
    with pytest.raises(BuildError, match="no TensorFlow version of .*first"):
        compiled(net)


def test_loops():
    net = chain()
    with net:
        a, b, c = net.nodes_in
        nengo.Connection(c, a, synapse=0.1, label="back")
        nengo.Connection(net.ensemble, net.ensemble, label="recurrent")
    net.config[net.first].training_synapse = None
    net.config[net.second].training_synapse = None
    net.config[net.decoded].training_synapse = None
    compiled(net)
    net.config[net.connections[3]].training_synapse = None
    with pytest.raises(BuildError, match="close a loop") as info:
        compiled(net)
    for label in ("first", "second", "back"):
        assert label in str(info.value)
    assert "recurrent" not in str(info.value) and "Probe" not in str(info.value)
    net.config[net.connections[3]].training_synapse = 0
    compiled(net)


def test_synapses_that_a_simplification_replaces():
    net = chain()

    def without_synapses(operators):
        return [
            Copy(op.input, op.output) if isinstance(op, SimProcess) else op
            for op in operators
        ]

    with net:
        configure_settings(simplifications=[without_synapses])
    compiled(net)
    net.config[net.first].training_synapse = None
    with pytest.raises(BuildError, match="A simplification has replaced `SimProcess"):
        compiled(net)


def test_program():
    net = chain()
    net.config[net.first].training_synapse = None
    net.config[net.probe].training_synapse = 0.5
    program = compiled(net)
    training = program.version(training=True)
    assert training is not program and program.version(training=False) is program
    assert training.layout is program.layout and training.feeds == program.feeds
    assert training.carried == program.carried

    def operators(version, op_type):
        return [op for g in version.plan for op in g if isinstance(op, op_type)]

    assert len(operators(program, SimProcess)) == 4
    processes = operators(training, SimProcess)
    taus = sorted(op.process.tau for op in processes)
    assert taus == [net.second.synapse.tau, 0.1, 0.5]
    # the state of the synapses of running is not changed
    ran = set(operators(program, SimProcess)) - set(processes)
    places = program.layout.places
    assert training.restored == {places[op.output][0] for op in ran}
    assert not program.restored and training.restored < set(program.carried)
    text = str(program)
    assert text.index("Plan:") < text.index("Plan in training:") < text.index("Base")


def test_order_in_groups():
    net = chain()
    net.config[net.first].training_synapse = 0.5
    model = build_model(net, dt=0.001)
    replacements = find_replacements(model)
    ((old, replacement),) = replacements.items()
    new = replacement.operators[0]
    others = [op for op in model.operators if isinstance(op, SimProcess)]
    others.remove(old)
    like = [(others[0], old), tuple(others[1:])]
    (group,) = sort_groups([(*others[::-1], new)], like, replacements)
    assert group == (others[0], new, *others[1:])
