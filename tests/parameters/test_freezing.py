"""`freeze_params`: the objects of a network keep what they have learned."""

import pickle
import subprocess
import sys

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulatorClosed
from nengo.processes import Piecewise
from parameters.changed_parameters import change_parameters, run_in_nengo

from nengo_dl.config import configure_settings

TOLERANCES = {"float32": {"rtol": 1e-3, "atol": 1e-3}, "float64": {"atol": 1e-8}}


def basal_ganglia():
    with nengo.Network(seed=0) as net:
        bg = nengo.networks.BasalGanglia(3)
        thalamus = nengo.networks.Thalamus(3)
        nengo.Connection(nengo.Node([0.3, 0.8, 0.5]), bg.input)
        nengo.Connection(bg.output, thalamus.input)
        nengo.Probe(thalamus.output)
    return net


def circular_convolution():
    with nengo.Network(seed=0) as net:
        product = nengo.networks.CircularConvolution(20, dimensions=4)
        nengo.Connection(nengo.Node([0.5, 0.1, -0.3, 0.4]), product.input_a)
        nengo.Connection(nengo.Node([0.2, 0.7, 0.3, -0.1]), product.input_b)
        nengo.Probe(product.output, synapse=0.01)
    return net


def input_gated_memory():
    with nengo.Network(seed=0) as net:
        memory = nengo.networks.InputGatedMemory(20, 2)
        nengo.Connection(nengo.Node([0.5, -0.7]), memory.input)
        nengo.Connection(nengo.Node(Piecewise({0: 0, 0.05: 1})), memory.gate)
        nengo.Connection(nengo.Node([0]), memory.reset)
        nengo.Probe(memory.output, synapse=0.01)
    return net


def test_closed(Simulator):
    with nengo.Network() as net:
        ens = nengo.Ensemble(10, 1)
    with Simulator(net) as sim:
        expected = sim.get_nengo_params(ens)
    with pytest.raises(SimulatorClosed, match="call freeze_params"):
        sim.freeze_params(net)
    assert (sim.get_nengo_params(ens)["bias"] == expected["bias"]).all()


# Nengo unpickles the size of a node before its output
@pytest.mark.filterwarnings("ignore:'Node.size_out' is being overwritten:UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make_network", [basal_ganglia, circular_convolution, input_gated_memory]
)
def test_networks(make_network, dtype, Simulator):
    net = make_network()
    with net:
        configure_settings(dtype=dtype, jit_compile=False)
    with Simulator(net) as sim:
        sim.run_steps(100)
        sim.freeze_params(net)
        # and once more: everything is an array now
        sim.freeze_params(net)
    thawed = pickle.loads(pickle.dumps(net))
    for frozen in (net, thawed):
        data = run_in_nengo(frozen, 100, dtype)
        for probe, frozen_probe in zip(net.all_probes, frozen.all_probes):
            assert sim.data[probe].any()
            np.testing.assert_allclose(
                sim.data[probe], data[frozen_probe], **TOLERANCES[dtype]
            )


@pytest.mark.training
def test_direct_mode(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5, 0.2])
        ens = nengo.Ensemble(1, 2, neuron_type=nengo.Direct())
        nengo.Connection(inp, ens, transform=0.5)
        probe = nengo.Probe(ens)
    with Simulator(net) as sim:
        sim.freeze_params(net)
        sim.run_steps(5)
        change_parameters(sim)
        with pytest.raises(ValueError, match="Direct mode.*encoders were trained"):
            sim.freeze_params(net)
    assert np.allclose(run_in_nengo(net, 5)[probe], sim.data[probe])


def everything():
    """Return a network with everything that has parameters."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", trainable=None, jit_compile=False)
        inp = nengo.Node(np.linspace(-1, 1, 16))
        a = nengo.Ensemble(16, 2, neuron_type=nengo.LIFRate(), radius=1.5)
        with nengo.Network():
            b = nengo.Ensemble(9, 1, neuron_type=nengo.RectifiedLinear())
        direct = nengo.Ensemble(1, 2, neuron_type=nengo.Direct())
        out = nengo.Node(size_in=12)
        nengo.Connection(inp[:2], a)
        nengo.Connection(inp[[3, 5]], a, transform=[0.5, 0.1])
        nengo.Connection(a, b, function=lambda x: x[0] * x[1], synapse=0.01)
        nengo.Connection(a[1], b, solver=nengo.solvers.LstsqL2(weights=True))
        nengo.Connection(a, b.neurons[:1], transform=[[0.2, 0.1]])
        nengo.Connection(a.neurons[:9], b.neurons, transform=0.01)
        nengo.Connection(b.neurons, out, transform=nengo.dists.Uniform(-1, 1))
        net.config[direct].trainable = False
        nengo.Connection(a, direct)
        nengo.Connection(direct, out[:2], function=lambda x: x**2, transform=0.3)
        nengo.Connection(direct[0], out[5])
        kernel = nengo.Convolution(3, (4, 4, 1), kernel_size=(3, 3))
        nengo.Connection(inp, out, transform=kernel)
        transposed = nengo.transforms.ConvolutionTranspose(2, (3, 3, 1))
        big = nengo.Node(size_in=transposed.size_out)
        nengo.Connection(inp[:9], big, transform=transposed)
        nengo.Connection(
            inp,
            out,
            transform=nengo.Sparse((12, 16), indices=[[0, 1], [5, 15]], init=[1, -2]),
        )
        for obj in (a, a.neurons, b, b.neurons, direct, out, big):
            nengo.Probe(obj)
    return net


@pytest.mark.training
def test_everything(Simulator):
    """Whatever has parameters can be frozen, with parameters that have changed."""
    net = everything()
    before = run_in_nengo(net, 50)
    with Simulator(net) as sim:
        change_parameters(sim)
        sim.freeze_params(net)
        sim.run_steps(50)
    frozen = run_in_nengo(net, 50)
    for probe in net.all_probes:
        assert not np.allclose(before[probe], sim.data[probe])
        if isinstance(probe.obj, nengo.Ensemble) and probe.obj.n_neurons > 1:
            continue  # Probes are built with decoders for the changed tuning curves
        np.testing.assert_allclose(sim.data[probe], frozen[probe], atol=1e-8)


RUN_ELSEWHERE = """
import pickle, sys, warnings
for name in ("tensorflow", "keras", "nengo_dl"):
    sys.modules[name] = None  # as if it were not installed
import nengo, numpy as np
nengo.rc.set("precision", "bits", "64")
warnings.simplefilter("ignore")
with open(sys.argv[1], "rb") as file:
    net = pickle.load(file)
with nengo.Simulator(net, progress_bar=False) as sim:
    sim.run_steps(20)
np.savez(sys.argv[2], *(sim.data[probe] for probe in net.all_probes))
"""


def test_pickle_needs_nengo_and_numpy_only(Simulator, tmp_path):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", trainable=None, keep_history=True)
        configure_settings(lif_smoothing=0.1, inference_only=False)
        inp = nengo.Node(np.linspace(-1, 1, 16))
        a = nengo.Ensemble(20, 2, radius=1.5)
        b = nengo.Ensemble(9, 1)
        out = nengo.Node(size_in=12)
        nengo.Connection(inp[:2], a)
        nengo.Connection(a, b, function=lambda x: x[0] * x[1])
        nengo.Connection(a[1], b, solver=nengo.solvers.LstsqL2(weights=True))
        nengo.Connection(a.neurons[:9], b.neurons, transform=0.01)
        kernel = nengo.Convolution(3, (4, 4, 1), kernel_size=(3, 3))
        nengo.Connection(inp, out, transform=kernel)
        sparse = nengo.Sparse((12, 16), indices=[[0, 1], [5, 15]], init=[1, -2])
        nengo.Connection(inp, out, transform=sparse)
        probes = [nengo.Probe(obj) for obj in (a.neurons, b.neurons, out)]
    with Simulator(net) as sim:
        change_parameters(sim)
        sim.freeze_params(net)
        sim.run_steps(20)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(net))
    paths = [str(tmp_path / name) for name in ("net.pkl", "data.npz")]
    subprocess.run([sys.executable, "-c", RUN_ELSEWHERE, *paths], check=True)
    with np.load(paths[1]) as data:
        for probe, values in zip(probes, data.values()):
            assert values.any()
            np.testing.assert_allclose(sim.data[probe], values, atol=1e-8)


def test_learned_weights(Simulator):
    """A frozen connection learns on from where it was."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        inp = nengo.Node([0.5])
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        nengo.Connection(inp, a)
        conns = [
            nengo.Connection(a, b, learning_rule_type=nengo.PES()),
            nengo.Connection(
                a,
                b,
                solver=nengo.solvers.LstsqL2(weights=True),
                learning_rule_type=nengo.Oja(),
            ),
            nengo.Connection(
                a.neurons, b, transform=[[0.1] * 10], learning_rule_type=nengo.PES()
            ),
        ]
        voja = nengo.Connection(a, b, learning_rule_type=nengo.Voja())
        for conn in (conns[0], conns[2]):
            nengo.Connection(inp, conn.learning_rule)
        probes = [nengo.Probe(b.neurons)]
        probes += [nengo.Probe(conn, "weights") for conn in conns]
        probes.append(nengo.Probe(voja.learning_rule, "scaled_encoders"))
    with Simulator(net) as sim:
        sim.run_steps(50)
        sim.freeze_params(net)
        sim.reset(include_trainable=False)
        sim.run_steps(20)
    frozen = run_in_nengo(net, 20)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe], frozen[probe], atol=1e-8)


def test_objects(Simulator):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        inp = nengo.Node([0.5])
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        inp_a, conn = nengo.Connection(inp, a), nengo.Connection(a, b)
        probe = nengo.Probe(b.neurons)
        late = nengo.Ensemble(10, 1, add_to_container=False)
    with nengo.Network() as other:
        foreign = nengo.Ensemble(10, 1)
    with Simulator(net) as sim:
        for obj in (foreign, other, late):
            with pytest.raises(ValueError, match="not part of the simulated network"):
                sim.freeze_params(obj)
        for obj in (probe, inp, a.neurons, 3):
            with pytest.raises(TypeError, match="Only Networks, Ensembles, and Conn"):
                sim.freeze_params([a, obj])
        assert a.gain is None, "nothing is changed if anything is wrong"

        sim.run_steps(10)
        sim.freeze_params([a, conn])
        assert a.gain is not None and b.gain is None
        assert isinstance(conn.solver, nengo.solvers.NoSolver)
    assert inp_a.transform == nengo.transforms.NoTransform(1)
    assert np.allclose(run_in_nengo(net, 10)[probe], sim.data[probe])
