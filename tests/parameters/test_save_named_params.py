"""The script that names the parameters of NengoDL 3; what it uses of that, we have."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import nengo
import numpy as np
from parameters.networks import assert_equal_parameters, make_network, parameters

import nengo_dl
from nengo_dl.parameters import names, save_named_params

SCRIPT = Path(save_named_params.__file__)


def test_names():
    """They are those by position."""
    with make_network(0, extra=True) as net:
        pre, post = net.parts[:2]
        index = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 2
        conns = [
            nengo.Connection(pre, post[::-1], transform=[[1], [1]]),
            nengo.Connection(pre.neurons[index], nengo.Node(size_in=20)),
            nengo.Connection(pre, post[0], learning_rule_type=nengo.PES()),
        ]
        nengo.Connection(pre, conns[-1].learning_rule)
        net.networks.append(net.networks[0])
    expected = names.object_names(net, use_labels=False)
    assert save_named_params.object_names(net) == expected
    assert len(set(expected.values())) == len(expected) > 15


def test_file(Simulator, tmp_path):
    def make(seed):
        net = make_network(seed, neuron_type=nengo.LIFRate())
        model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
        with net:
            voja = nengo.Connection(
                *net.parts[:2],
                transform=[[1], [1]],
                learning_rule_type={"a": nengo.Voja(), "b": nengo.PES()},
            )
            nengo.Connection(net.parts[0], voja.learning_rule["b"], transform=[[1]] * 2)
            nengo.Probe(nengo_dl.Layer(model)(net.parts[1]))
        return net

    net = make(0)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(5)
        save_named_params.save_named_params(sim, tmp_path / "named")
        expected = parameters(sim)
    with Simulator(make(1), unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "named")
        assert_equal_parameters(
            {k: v for k, v in parameters(sim).items() if "radius" not in k},
            {k: v for k, v in expected.items() if "radius" not in k},
        )
    with np.load(tmp_path / "named.npz", allow_pickle=False) as archive:
        assert "ensembles[0].encoders" in archive.files


def test_scaled_parameters(Simulator, tmp_path):
    """NengoDL 3 saved them as they are in the network."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(parameter_scale=None)
        ens = nengo.Ensemble(3, 1, neuron_type=nengo.RectifiedLinear())
        net.config[ens.neurons].parameter_scale = 4
        nengo.Probe(ens)
    with Simulator(net, unroll_simulation=1) as sim:
        expected = sim.data[ens].bias
        save_named_params.save_named_params(sim, tmp_path / "named")
        sim.load_params(tmp_path / "named")
        assert (sim.data[ens].bias == expected).all()


def test_converted_biases():
    """The biases of a convolution have another form in the networks of NengoDL 3."""
    with nengo.Network() as net:
        bias = nengo.Node([1], label="conv.bias")
        relay = nengo.Node(size_in=2, label="conv.bias_relay")
        conns = [nengo.Connection(bias, relay, transform=[[3], [4]], synapse=None)]
        indices = [[i, i % 2] for i in range(8)]
        copies = nengo.Sparse((8, 2), indices=indices, init=np.ones(8))
        post = nengo.Node(size_in=8)
        conns.append(nengo.Connection(relay, post, transform=copies, synapse=None))
        nengo.Probe(post)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        values = [save_named_params.converted_bias(sim, conn) for conn in conns]
    assert (values[0] == np.ones((4, 1))).all()
    assert (values[1] == np.reshape([3, 4], (1, 1, 2))).all()


def test_independent():
    """It needs nothing of this package, and no new Python."""
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 6))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert modules <= {"json", "zlib", "typing", "nengo", "numpy"}
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
    code += "import save_named_params; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
