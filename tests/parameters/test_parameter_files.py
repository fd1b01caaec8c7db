"""Files of parameters that are not what they should be, or not for this network."""

import json
import os
import pickle
import zipfile

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

import nengo_dl
from nengo_dl.config import configure_settings
from nengo_dl.parameters.files import SavedParameter
from nengo_dl.parameters.live import Parameter
from nengo_dl.parameters.matching import match_parameters, match_unnamed
from nengo_dl.parameters.names import object_names


def small_network(seed=0, n_neurons=5, label=None):
    with nengo.Network(seed=seed) as net:
        inp = nengo.Node([1])
        ens = nengo.Ensemble(n_neurons, 1, label=label)
        nengo.Connection(inp, ens, transform=0.5)
        nengo.Probe(ens.neurons)
    return net


def live_arrays(sim):
    """Return everything that `load_params` may change."""
    arrays = sim.tensor_graph.values.get_arrays()
    return {"n_steps": sim.n_steps, **{k: np.array(v) for k, v in arrays.items()}}


def assert_unchanged(sim, before):
    after = live_arrays(sim)
    assert after.keys() == before.keys()
    assert all((after[key] == before[key]).all() for key in after if key != "n_steps")
    assert after["n_steps"] == before["n_steps"]


@pytest.fixture(scope="module")
def sim(Simulator):
    """A simulator that nothing can be loaded into by the tests of this file."""
    with Simulator(small_network(seed=1), unroll_simulation=1) as sim:
        sim.run_steps(3)
        before = live_arrays(sim)
        yield sim
        assert_unchanged(sim, before)


@pytest.fixture(scope="module")
def path(Simulator, tmp_path_factory):
    """A file that fits `sim`, with the state of a simulation."""
    path = tmp_path_factory.mktemp("parameters") / "params"
    with Simulator(small_network(), unroll_simulation=1) as saved:
        saved.run_steps(5)
        saved.save_params(path, include_state=True)
    return path


# -- damaged and foreign files ---------------------------------------------------------


def test_no_file(sim, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        sim.load_params(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        sim.save_params(tmp_path / "no directory" / "params")


def test_truncated_files(sim, path, tmp_path):
    data = path.with_suffix(".npz").read_bytes()
    for n in [0, 1, 30, *np.linspace(100, len(data) - 1, 10).astype(int)]:
        (tmp_path / "part.npz").write_bytes(data[:n])
        with pytest.raises(SimulationError, match="part.npz` cannot be read.* damaged"):
            sim.load_params(tmp_path / "part", include_state=True)


def test_damaged_files(Simulator, path, tmp_path):
    """One wrong byte is noticed, or makes no difference."""
    data = path.with_suffix(".npz").read_bytes()
    noticed = 0
    with Simulator(small_network(), unroll_simulation=1) as sim:
        sim.load_params(path, include_state=True)
        before = live_arrays(sim)
        for position in np.linspace(0, len(data) - 1, 100).astype(int):
            damaged = bytearray(data)
            damaged[position] ^= 0xFF
            (tmp_path / "damaged.npz").write_bytes(damaged)
            try:
                sim.load_params(tmp_path / "damaged", include_state=True)
            except SimulationError:
                noticed += 1
            assert_unchanged(sim, before)
    assert noticed > 50


class Bomb:
    def __reduce__(self):
        return exec, ("raise AssertionError('code of the file was executed')",)


def test_foreign_files(sim, tmp_path):
    npz, path = tmp_path / "foreign.npz", tmp_path / "foreign"
    for content in (b"text", pickle.dumps(Bomb()), b"\x93NUMPY" + bytes(100)):
        npz.write_bytes(content)
        with pytest.raises(
            SimulationError, match="cannot be read .*not an archive|not"
        ):
            sim.load_params(path)

    np.savez(npz, arr_0=np.array([Bomb()], dtype=object))
    with pytest.raises(SimulationError, match="cannot be read .*allow_pickle"):
        sim.load_params(path)
    np.savez(npz, weights=np.ones(3), bias=np.ones(3))
    with pytest.raises(SimulationError, match="does not say .* bias, weights"):
        sim.load_params(path)
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("text.txt", "text")
    with pytest.raises(SimulationError, match=r"does not say .* text\.txt"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array("[1, 2"))
    with pytest.raises(SimulationError, match="cannot be read .*JSONDecodeError"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array(json.dumps({"format": 1})))
    with pytest.raises(SimulationError, match="cannot be read .*KeyError"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array(json.dumps({"format": 2, "version": "9.1"})))
    with pytest.raises(SimulationError, match=r"format 2, and .* by NengoDL 9\.1"):
        sim.load_params(path)


def test_failed_save(sim, tmp_path, monkeypatch):
    """The file that was there is still there."""
    sim.save_params(tmp_path / "params")
    before = (tmp_path / "params.npz").read_bytes()

    def fail(file, **arrays):
        file.write(b"something")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space left"):
        sim.save_params(tmp_path / "params")
    assert [p.name for p in tmp_path.iterdir()] == ["params.npz"]
    assert (tmp_path / "params.npz").read_bytes() == before


def test_contents(path):
    """Files can be read without NengoDL."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
        names = [name for name in archive.files if not name.startswith("state")]
        header = json.loads(archive["nengo_dl"].item())
        assert archive["ensembles[0].bias"].shape == (5,)
    assert names == [
        "ensembles[0].encoders",
        "ensembles[0].bias",
        "nodes[0] -> ensembles[0].weights",
        "ensembles[0].built_gain",
        "ensembles[0].built_bias",
        "nengo_dl",
    ]
    assert [entry["name"] for entry in header["parameters"]] == names[:3]
    assert header["version"] == nengo_dl.__version__
    assert header["state"]["n_steps"] == 5
    assert path.with_suffix(".npz").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# -- other networks --------------------------------------------------------------------


def test_empty_networks(Simulator, sim, path, tmp_path):
    with Simulator(nengo.Network(), unroll_simulation=1) as empty:
        with pytest.raises(
            SimulationError, match=r"\(3\) != number of variables \(0\)"
        ):
            empty.load_params(path)
        empty.save_params(tmp_path / "empty")
        empty.load_params(tmp_path / "empty")
    with pytest.raises(SimulationError, match=r"\(0\) != number of variables \(3\)"):
        sim.load_params(tmp_path / "empty")


def test_other_networks(Simulator, path):
    def add(net):
        with net:
            nengo.Ensemble(10, 1, label="new")
        return net

    cases = [
        (
            small_network(n_neurons=6),
            r"encoders has shape \(5, 1\) in the file and \(6, 1\) in the network",
        ),
        (add(small_network()), r"only in the network: ensembles\['new'\]\.encoders, "),
        (nengo.Network(), "only in the file: .*nodes.0. -> ensembles.0..weights"),
    ]
    for net, message in cases:
        with Simulator(net, unroll_simulation=1) as sim:
            before = live_arrays(sim)
            with pytest.raises(SimulationError, match=message):
                sim.load_params(path)
            assert_unchanged(sim, before)


def test_state_of_other_networks(Simulator, path, tmp_path):
    for kwargs, message in [
        ({"network": small_network(n_neurons=5), "minibatch_size": 2}, "shape"),
        ({"network": small_network(label="other")}, "'other'"),
    ]:
        with Simulator(**kwargs) as sim:
            before = live_arrays(sim)
            with pytest.raises(SimulationError, match=f"of another network.*{message}"):
                sim.load_params(path, include_state=True)
            assert_unchanged(sim, before)
    other_type = small_network()
    other_type.ensembles[0].neuron_type = nengo.SpikingRectifiedLinear()
    with Simulator(other_type, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="state is that of another network"):
            sim.load_params(path, include_state=True)
        sim.load_params(path)
        sim.save_params(tmp_path / "stateless")
        with pytest.raises(SimulationError, match="no state of a simulation"):
            sim.load_params(tmp_path / "stateless", include_state=True)


def test_sparse_weights_in_other_places(Simulator, tmp_path):
    def make(indices):
        with nengo.Network(seed=0) as net:
            a, b = nengo.Node([1, 2]), nengo.Node(size_in=2)
            sparse = nengo.Sparse((2, 2), indices=indices, init=[1, 2])
            nengo.Connection(a, b, transform=sparse)
            nengo.Probe(b)
        return net

    with Simulator(make([[0, 0], [1, 1]]), unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
    with Simulator(make([[0, 1], [1, 1]]), unroll_simulation=1) as sim:
        with pytest.raises(
            SimulationError, match="weights has its nonzero elements in"
        ):
            sim.load_params(tmp_path / "params")


def saved(name, value, minibatched=False):
    return SavedParameter(name, name, None, minibatched, np.asarray(value))


def own(name, shape, minibatched=False):
    return Parameter(name, name, None, None, shape, minibatched)


def test_many_problems_are_listed_in_short():
    with pytest.raises(SimulationError) as error:
        match_parameters([saved(f"a{i}", 0) for i in range(9)], [own("b", ())])
    assert "only in the file: a0, a1, a2, a3, a4, and 4 more" in str(error.value)
    assert "only in the network: b. " in str(error.value)


def test_minibatches():
    value = np.arange(6).reshape(3, 2)
    same = np.broadcast_to(value[0], (3, 2))

    def match(value, shape, *minibatched):
        x, y = saved("x", value, minibatched[0]), own("x", shape, minibatched[1])
        return match_parameters([x], [y])[y]

    assert (match(value, (3, 2), True, True) == value).all()
    assert (match(value[0], (4, 2), False, True) == value[0]).all()
    assert match(same, (4, 2), True, True).shape == (4, 2)
    assert (match(same, (2,), True, False) == value[0]).all()
    assert (match(value[:1], (2,), True, False) == value[0]).all()
    for shape, minibatched in [((2,), False), ((2, 2), True), ((1, 2), True)]:
        with pytest.raises(SimulationError, match="x was learned by 3 items"):
            match(value, shape, True, minibatched)
    # that it is as large as a minibatch makes no difference
    with pytest.raises(SimulationError, match=r"shape \(3, 2\) in the file and \(2,\)"):
        match(value, (3, 2), False, True)


# -- files of NengoDL 3 ----------------------------------------------------------------


def test_old_files(Simulator, tmp_path):
    net = small_network()
    with net:
        nengo.Ensemble(3, 1)  # without input, it has no encoders in the program
    arrays = np.full((5, 1), 2.0), np.full(5, 3.0), np.full(3, 4.0), np.full(1, 5.0)
    np.savez_compressed(tmp_path / "old.npz", *arrays)
    np.savez_compressed(tmp_path / "state.npz", *arrays, np.zeros(7))
    np.savez_compressed(tmp_path / "shape.npz", *arrays[:3], np.zeros((2, 2)))
    np.savez_compressed(tmp_path / "text.npz", *arrays[:3], np.array(["a"]))
    with Simulator(net, unroll_simulation=1) as sim:
        before = live_arrays(sim)
        for name, message in [
            ("state", r"number of arrays \(5\) != number of variables \(4\)"),
            ("shape", r"array of shape \(2, 2\) can be no parameter"),
            ("text", "array of <U1"),
        ]:
            with pytest.raises(SimulationError, match=f"NengoDL 3.*{message}"):
                sim.load_params(tmp_path / name)
        assert_unchanged(sim, before)
        with pytest.raises(SimulationError, match="no state"):
            sim.load_params(tmp_path / "old", include_state=True)
        assert_unchanged(sim, before)

        sim.load_params(tmp_path / "old")
        params = sim.export_params()
    assert (params["ensembles[0]"]["scaled_encoders"] == 2).all()
    assert (params["ensembles[0]"]["bias"] == 3).all()
    assert (params["ensembles[1]"]["bias"] == 4).all()
    assert params["nodes[0] -> ensembles[0]"]["weights"] == 5


def test_old_files_with_several_possibilities():
    parameters = [own("a", (3,)), own("b", (3,)), own("c", (2,))]
    arrays = [np.ones(2), np.ones(3), np.ones(3)]
    with pytest.raises(SimulationError, match=r"shape \(3,\) can be a, b\."):
        match_unnamed(arrays, parameters)
    with pytest.raises(SimulationError, match=r"shape \(2,\) can be no parameter"):
        match_unnamed([arrays[0], arrays[0]], [parameters[0], parameters[2]])
    values = match_unnamed(arrays[:2], parameters[1:])
    assert [values[p].shape for p in parameters[1:]] == [(3,), (2,)]


# -- names of objects ------------------------------------------------------------------


def test_names():
    with nengo.Network() as net:
        a = nengo.Ensemble(10, 2, label="a")
        b = nengo.Ensemble(10, 2)
        twins = [nengo.Ensemble(10, 2, label="twin") for _ in range(2)]
        with nengo.Network(label="in/ner 'net'") as inner:
            c = nengo.Node(size_in=2)
        conns = {
            "ensembles['a'] -> ensembles[1]": nengo.Connection(a, b),
            "ensembles['a'] -> ensembles[1] [1]": nengo.Connection(a, b),
            "ensembles['a'] -> ensembles[1] ['c']": nengo.Connection(a, b, label="c"),
            "ensembles['a'][0:1] -> ensembles[1][1]": nengo.Connection(a[0], b[[1]]),
            "ensembles['a'].neurons[::-1] -> ensembles[1][:0:-1]": nengo.Connection(
                a.neurons[::-1], b[:0:-1], transform=np.ones((1, 10))
            ),
        }
        with inner:
            learned = nengo.Connection(a, c, learning_rule_type=nengo.PES())
            error = nengo.Connection(b, learned.learning_rule)
        long = nengo.Connection(a.neurons[list(range(9))], b.neurons[list(range(9))])
    network = "networks['in%2Fner %27net%27']"
    conns[f"ensembles['a'] -> {network}.nodes[0]"] = learned
    conns[f"ensembles[1] -> (ensembles['a'] -> {network}.nodes[0]).learning_rule"] = (
        error
    )
    expected = {
        "ensembles['a']": a,
        "ensembles[1]": b,
        "ensembles[2]": twins[0],
        "ensembles[3]": twins[1],
        network: inner,
        f"{network}.nodes[0]": c,
        **conns,
    }
    names = object_names(net)
    digest = names.pop(long)
    assert digest.startswith("ensembles['a'].neurons[9 indices ")
    assert {name: obj for obj, name in names.items()} == expected

    positions = object_names(net, use_labels=False)
    assert positions[a] == "ensembles[0]"
    assert positions[c] == "networks[0].nodes[0]"
    assert positions[learned] == "ensembles[0] -> networks[0].nodes[0]"
    assert len(set(positions.values())) == len(positions)


def test_networks_that_are_listed_twice():
    with nengo.Network() as net:
        with nengo.Network() as inner:
            ens = nengo.Ensemble(10, 1)
        net.networks.append(inner)
        with nengo.Network() as other:
            other.networks.append(inner)
    assert object_names(net) == {
        inner: "networks[0]",
        ens: "networks[0].ensembles[0]",
        other: "networks[2]",
    }


# -- values ----------------------------------------------------------------------------


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
    assert [v.shape for v in saved_params["nodes[4]"].values()] == [
        (2, 2),
        (2,),
        (2, 2),
        (2,),
    ]
    for name, arrays in saved_params.items():
        for attr, value in arrays.items():
            assert (params[name][attr] == value).all()
    assert (before["nodes[1]"]["kernel"] != params["nodes[1]"]["kernel"]).any()
