"""Numbers come back where they were."""

import pickle

import keras
import nengo
import numpy as np
import pytest
from parameters.networks import assert_unchanged, live_arrays

import nengo_dl
from nengo_dl.config import configure_settings


def test_parameters_that_are_not_used(Simulator, tmp_path):
    """They can be loaded, saved, pickled, and reset nonetheless."""
    nets = [nengo.Network(seed=seed) for seed in (0, 1)]
    for net in nets:
        with net:
            ens = nengo.Ensemble(5, 1)
            nengo.Probe(ens.neurons)
    with Simulator(nets[0], unroll_simulation=1) as sim:
        assert sim.model.sig[nets[0].ensembles[0]]["encoders"] not in set(sim.signals)
        sim.save_params(tmp_path / "params")
        expected = sim.data[nets[0].ensembles[0]]
    ens = nets[1].ensembles[0]
    with Simulator(nets[1], unroll_simulation=1) as sim:
        built = sim.data[ens]
        sim.load_params(tmp_path / "params")
        loaded = sim.data[ens]
        sim.save_params(tmp_path / "again")
        copied = pickle.loads(pickle.dumps(sim))
        sim.reset()
        assert sim.data[ens] is built
    assert (loaded.scaled_encoders == expected.scaled_encoders).all()
    copied_ens = copied.model.toplevel.ensembles[0]
    assert (copied.data[copied_ens].scaled_encoders == loaded.scaled_encoders).all()
    copied.close()
    with np.load(tmp_path / "again.npz") as again:
        assert (again["ensembles[0].encoders"] == expected.scaled_encoders).all()


@pytest.mark.parametrize("simplifications", [None, ()])
def test_all_values_are_in_their_places(simplifications, Simulator, tmp_path):
    """Numbers that differ everywhere come back where they were."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        if simplifications is not None:
            configure_settings(simplifications=simplifications)
        inp = nengo.Node([1, 1])
        ensembles = [nengo.Ensemble(n, 2) for n in (5, 5, 7)]
        for ens in ensembles:
            nengo.Connection(inp, ens)
            nengo.Connection(ens, ensembles[0], transform=2)
            nengo.Connection(ens[1], ensembles[1][:1], synapse=0)
        voja = nengo.Connection(inp, ensembles[0], learning_rule_type=nengo.Voja())
        nengo.Connection(inp[0], voja.learning_rule)
    for minibatch_size in (None, 2):
        with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
            for key, variable in sim.tensor_graph.base_params.items():
                start = 1000 * (1 + list(sim.tensor_graph.base_params).index(key))
                numbers = start + np.arange(np.prod(variable.shape))
                values = numbers.reshape(variable.shape)
                if key in sim.tensor_graph.saved_state:
                    sim.tensor_graph.values.assign({key: values.astype(float)})
                else:
                    variable.assign(values)
            before = live_arrays(sim)
            sim.save_params(tmp_path / "params")
            sim.reset()
            assert any(np.any(v != before[k]) for k, v in live_arrays(sim).items())
            sim.load_params(tmp_path / "params")
            assert_unchanged(sim, before)
            bias = sim.data.get_params((ensembles[2], "bias"))[0]
            with np.load(tmp_path / "params.npz") as saved_values:
                assert (saved_values["ensembles[2].bias"] == bias).all()


def test_keras_layers(Simulator, tmp_path):
    def make(seed):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Dense(3), keras.layers.BatchNormalization()]
        two = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(2)])
        with nengo.Network(seed=seed) as net:
            nengo_dl.configure_settings(jit_compile=False)
            x = nengo.Node([1, 2])
            for layer in (layers[0], layers[0], layers[1], two):
                transform = np.ones((2, x.size_out))
                x = nengo_dl.Layer(layer)(x, transform=transform)
            nengo.Probe(x, label="out")
        return net

    with Simulator(make(0), unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
        saved_params = sim.export_params()
        sim.run_steps(2)
        expected = sim.data[sim.model.probes[0]]
    with Simulator(make(1), unroll_simulation=1) as sim:
        before = sim.export_params()
        sim.load_params(tmp_path / "params")
        params = sim.export_params()
        sim.run_steps(2)
        assert np.allclose(sim.data[sim.model.probes[0]], expected)
    assert saved_params["nodes[1]"].keys() == {"kernel", "bias"}
    assert "nodes[2]" not in saved_params, "the same layer as before"
    assert "moving_variance" in saved_params["nodes[3]"]
    assert {name: v.shape for name, v in saved_params["nodes[4]"].items()} == {
        "dense/kernel": (2, 2),
        "dense/bias": (2,),
        "dense_1/kernel": (2, 2),
        "dense_1/bias": (2,),
    }
    for name, arrays in saved_params.items():
        for attr, value in arrays.items():
            assert (params[name][attr] == value).all()
    assert (before["nodes[1]"]["kernel"] != params["nodes[1]"]["kernel"]).any()
