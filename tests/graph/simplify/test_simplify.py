import nengo
import numpy as np
import pytest
from graph.literal_graphs import run, signal
from nengo.builder import Model
from nengo.builder.operator import Copy, DotInc, ElementwiseInc, Reset
from nengo.builder.probe import SimProbe

from nengo_dl.graph.operators import Constant, DotSet
from nengo_dl.graph_optimizer import (
    default_simplifications,
    greedy_planner,
    join_columns,
    order_signals,
    remove_constant_copies,
    remove_identity_muls,
    remove_pes_deltas,
    remove_reset_incs,
    remove_unmodified_resets,
    remove_zero_incs,
    scale_convolutions,
    simplify,
    transitive_planner,
    tree_planner,
)

pytestmark = pytest.mark.usefixtures("builders")


def test_default_simplifications():
    assert default_simplifications == (
        remove_unmodified_resets,
        remove_zero_incs,
        remove_identity_muls,
        remove_constant_copies,
        remove_pes_deltas,
        join_columns,
        scale_convolutions,
        remove_reset_incs,
    )


def test_nothing_to_do():
    ops = [Copy(signal(trainable=True), signal())]
    simplified = simplify(ops)
    assert simplified == ops and simplified is not ops
    assert simplify(ops, passes=()) == ops
    assert simplify([]) == []


def test_passes_enable_each_other():
    # Reset -> Constant, identity product -> Copy -> ResetInc -> Reset -> Constant, and
    # so on down the chain
    one, two, x, y, z = (signal((2,), name=name) for name in ("1", "2", "x", "y", "z"))
    ops = [
        Reset(one, value=1),
        Reset(two, value=2),
        Reset(x),
        ElementwiseInc(one, two, x),
        Reset(y),
        Copy(x, y, inc=True),
        Copy(y, z),
        SimProbe(z),
    ]
    *constants, probe = simplify(ops)
    assert probe is ops[-1]
    assert all(isinstance(op, Constant) for op in constants)
    np.testing.assert_equal({op.dst: op.value for op in constants}[z], [2, 2])


def test_passes_are_applied_until_nothing_changes():
    calls = []

    def shorten(operators):
        calls.append("shorten")
        return operators[1:] if len(operators) > 2 else operators

    def nothing(operators):
        calls.append("nothing")
        return tuple(operators)

    ops = [Reset(signal()) for _ in range(4)]
    assert simplify(ops, [shorten, nothing]) == ops[2:]
    assert calls == 2 * ["shorten", "nothing"] + ["shorten"]


def test_parameters_keep_their_operators():
    A = signal((3, 2), trainable=True)
    x, y = signal((2,)), signal((3,))
    ops = [Copy(signal(), x), Reset(y), DotInc(A, x, y), SimProbe(y)]
    ops.append(Copy(signal(trainable=True), x, inc=True))
    types = [type(op) for op in simplify(ops)]
    assert types == [DotSet, SimProbe, Copy]


# -- whole networks -------------------------------------------------------------------


def channel(net):
    stim = nengo.Node(lambda t: [np.sin(50 * t), 0.3])
    a, b = nengo.Ensemble(20, 2), nengo.Ensemble(15, 2, radius=2)
    nengo.Connection(stim, a)
    nengo.Connection(a, b, function=np.square)
    nengo.Connection(b, b, synapse=0.05)
    nengo.Probe(b, synapse=0.01)
    nengo.Probe(a.neurons, "voltage")


def zeros_and_ones(net):
    unconnected = nengo.Node(size_in=3)
    stim = nengo.Node(lambda t: np.arange(3) * t)
    relay, target = nengo.Node(size_in=3), nengo.Node(size_in=3)
    direct = nengo.Ensemble(10, 3, neuron_type=nengo.Direct())
    nengo.Connection(unconnected, relay, synapse=None)
    nengo.Connection(unconnected[0], relay[2], synapse=None, transform=3)
    nengo.Connection(stim, relay, transform=np.eye(3), synapse=None)
    nengo.Connection(stim, relay, transform=0, synapse=None)
    nengo.Connection(relay[:2], target[1:], transform=np.ones((2, 2)), synapse=None)
    nengo.Connection(relay[[2, 0]], target[[0, 2]], transform=1, synapse=None)
    nengo.Connection(relay[[2, 2]], target[[0, 0]], synapse=None)
    nengo.Connection(target, direct, synapse=None)
    nengo.Connection(direct, nengo.Node(size_in=3), function=lambda x: x + 1)
    for obj in (unconnected, relay, target, direct):
        nengo.Probe(obj)


def noise_and_learning(net):
    pre = nengo.Ensemble(15, 2, noise=nengo.processes.WhiteNoise(seed=0))
    post = nengo.Ensemble(15, 2, neuron_type=nengo.RectifiedLinear())
    error = nengo.Node(size_in=2)
    conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES(1e-2))
    voja = nengo.Connection(pre, post, learning_rule_type=nengo.Voja(learning_rate=0.1))
    nengo.Connection(post, error)
    nengo.Connection(pre, error, transform=-1)
    nengo.Connection(error, conn.learning_rule)
    nengo.Connection(error[0], voja.learning_rule)
    nengo.Probe(conn, "weights")
    nengo.Probe(post, synapse=nengo.Alpha(0.01))
    nengo.Probe(post, "scaled_encoders")


def transforms(net):
    stim = nengo.Node(nengo.processes.WhiteSignal(0.1, 100, seed=0), size_out=16)
    conv = nengo.Convolution(2, (4, 4, 1))
    image = nengo.Ensemble(conv.output_shape.size, 1, neuron_type=nengo.LIFRate())
    nengo.Connection(stim, image.neurons, transform=conv, synapse=None)
    back = nengo.ConvolutionTranspose(1, conv.output_shape)
    out = nengo.Node(size_in=back.output_shape.size)
    nengo.Connection(image.neurons, out, transform=back)
    sparse = nengo.Sparse((2, 16), indices=[[0, 0], [1, 3]], init=[1, 2])
    other = nengo.Node(size_in=2)
    nengo.Connection(stim, other, transform=sparse)
    nengo.Connection(stim, other, transform=sparse, synapse=None)
    nengo.Probe(out)
    nengo.Probe(other)


def ensemble_arrays(net):
    stim = nengo.Node(lambda t: np.cos(t * np.arange(4)))
    product = nengo.networks.Product(20, 4)
    array = nengo.networks.EnsembleArray(10, 4)
    array.add_output("square", np.square)
    nengo.Connection(stim, product.input_a)
    nengo.Connection(product.output, array.input)
    nengo.Connection(array.square, product.input_b, synapse=0.02)
    nengo.Probe(array.output)
    nengo.Probe(product.output, synapse=0.01)


@pytest.mark.parametrize(
    "planner", (greedy_planner, tree_planner, transitive_planner, None)
)
@pytest.mark.parametrize(
    "build",
    (channel, zeros_and_ones, noise_and_learning, transforms, ensemble_arrays),
)
@pytest.mark.filterwarnings("ignore:Sparse matrix:UserWarning")
def test_simplified_networks_do_the_same(build, planner):
    with nengo.Network(seed=0) as net:
        build(net)
    model = Model(dt=0.001)
    model.build(net)
    before = [(op, *(list(s) for s in (op.sets, op.incs))) for op in model.operators]
    expected = run(model.operators, n_steps=30)

    simplified = simplify(model.operators)
    assert len(simplified) < len(model.operators)
    plan = None
    if planner is not None:
        _, plan = order_signals(planner(simplified))
        plan = [group[::-1] for group in plan]  # the order in a group must not matter
    result = run(simplified, n_steps=30, plan=plan)
    for probe in model.probes:
        key = model.sig[probe]["in"]
        assert np.any(expected[key] != 0) or build is zeros_and_ones
        np.testing.assert_allclose(result[key], expected[key], atol=1e-10)
    # the model was not changed
    assert before == [
        (op, *(list(s) for s in (op.sets, op.incs))) for op in model.operators
    ]


def test_number_of_groups():
    # all weights are constants, as no signal is marked as a parameter
    with nengo.Network() as net:
        noise = nengo.Node(nengo.processes.WhiteNoise(seed=0))
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
        target = nengo.Node(size_in=1)
        nengo.Connection(noise, direct, transform=2, synapse=None)
        nengo.Connection(direct, target, transform=3)
        nengo.Probe(target)
    model = Model(dt=0.001)
    model.build(net)

    def types(passes):
        plan = tree_planner(simplify(model.operators, passes))
        return [type(group[0]).__name__ for group in plan]

    with_resets = types(default_simplifications[:-1])
    without_resets = types(default_simplifications)
    assert "Reset" in with_resets and "ElementwiseInc" in with_resets
    assert len(without_resets) < len(with_resets)
    assert not any(name.endswith(("Inc", "Reset")) for name in without_resets)
