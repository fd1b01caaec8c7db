import json
import subprocess
import sys

import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl import benchmarks
from nengo_dl.benchmarks.compare import compare
from nengo_dl.benchmarks.measure import Result, Run, take_sample
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.plan import (
    Choice,
    NetworkResults,
    plan_runs,
    plan_training,
    reference_runs,
)
from nengo_dl.benchmarks.tables import SMALL, TABLES, rst_table
from nengo_dl.benchmarks.training import keras_trainer

RELU = nengo.RectifiedLinear()


@pytest.mark.parametrize(
    "build, neurons",
    [
        (benchmarks.cconv, 5),
        (benchmarks.integrator, 10),
        (benchmarks.pes, 160),
        (benchmarks.basal_ganglia, 10),
    ],
)
def test_networks(build, neurons):
    net = build(16, 10, RELU)

    inputs = [vars(net)[k] for k in ("inp", "inp_a", "inp_b") if k in vars(net)]
    assert inputs
    assert all(node.size_out == 16 for node in inputs)
    assert net.p.size_in == 16
    assert net.seed == 0
    assert all(ens.neuron_type is RELU for ens in net.all_ensembles)
    assert all(ens.n_neurons == neurons for ens in net.all_ensembles)


@pytest.mark.parametrize("n_ensembles, connections", [(20, 3), (5, 6)])
def test_random_network(n_ensembles, connections):
    net = benchmarks.random_network(8, 10, RELU, n_ensembles, connections)

    assert net.inp.size_out == net.out.size_in == net.p.size_in == 8
    assert len(net.all_ensembles) == n_ensembles
    for ens in net.all_ensembles:
        assert ens.neuron_type is RELU
        assert ens.n_neurons == 80
        posts = [conn.post for conn in net.all_connections if conn.pre is ens]
        assert len(posts) == connections + 1
        assert net.out in posts
        assert net.inp in [conn.pre for conn in net.all_connections if conn.post is ens]


def test_random_network_seed():
    def posts(seed):
        net = benchmarks.random_network(2, 5, RELU, 10, 3, seed=seed)
        ensembles = {ens: i for i, ens in enumerate(net.all_ensembles)}
        return [ensembles.get(conn.post) for conn in net.all_connections]

    assert posts(1) == posts(1)
    assert posts(1) != posts(2)


def test_sizes_of_the_tables():
    sizes = {name: NETWORKS[name][1]().n_neurons for name in SMALL}
    assert sizes == {
        "channel": 200,
        "integrator": 2048,
        "cconv": 8448,
        "pes": 4096,
        "action_selection": 17600,
        "full_weights": 4000,
    }


def network_without_input():
    with nengo.Network(seed=0) as net:
        net.p = nengo.Probe(nengo.Ensemble(10, 1))
    return net


@pytest.mark.parametrize(
    "train", [False, pytest.param(True, marks=pytest.mark.training)]
)
@pytest.mark.parametrize(
    "net",
    [
        benchmarks.integrator(2, 5, RELU),
        benchmarks.cconv(2, 6, RELU),
        network_without_input(),
    ],
)
def test_run_profile(net, train, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    seconds = benchmarks.run_profile(net, train, 10, reps=2, device="/cpu:0")

    assert 0 < seconds < 60
    assert (tmp_path / "profile").is_dir()
    assert nengo_dl.config.get_setting(net, "inference_only") == (not train)
    printed = capsys.readouterr().out
    assert "Warmup time:" in printed
    assert f"Execution time: {seconds:.6g}" in printed


def test_build_and_profile_commands():
    obj = {}
    arguments = "build --benchmark random_network --dimensions 2 --neurons_per_d 5"
    arguments += " --neuron_type SoftLIFRate --kwarg n_ensembles=3"
    arguments += " --kwarg connections_per_ensemble=2"
    arguments += " profile --n_steps 10 --device /cpu:0 --time-only"

    with pytest.raises(SystemExit) as info:
        benchmarks.main(arguments.split(), obj=obj)

    assert info.value.code == 0
    assert obj["net"].label == "random"
    assert len(obj["net"].all_ensembles) == 3
    for ens in obj["net"].all_ensembles:
        assert ens.n_neurons == 10
        assert isinstance(ens.neuron_type, nengo_dl.SoftLIFRate)
    assert obj["time"] > 0


def test_profile_command_without_network():
    with pytest.raises(ValueError, match="put `build` before `profile`"):
        benchmarks.main(["profile"], obj={})


def test_release_needs_interpreter(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["--competitors", "release"])
    assert "--competitor-python" in capsys.readouterr().err


def test_tables_from_the_shell(tmp_path):
    path = tmp_path / "figures.json"
    command = [sys.executable, "-m", "nengo_dl.benchmarks", "--simulation"]
    command += ["--networks", "channel", "--minibatch", "2", "--repeats", "1"]
    command += ["--seconds", "0.01", "--device", "/cpu:0", "--json", str(path)]

    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    title = NETWORKS["channel"][0]
    assert sum(line.startswith(title) for line in printed.splitlines()) == 1
    nengos, ours = json.loads(path.read_text())["tables"]["simulation"]
    assert (nengos["competitor"], nengos["minibatch"]) == ("nengo", None)
    assert (ours["competitor"], ours["minibatch"]) == ("nengo_dl", 2)
    assert ours["samples"][0]["us_per_step"] > 0
    assert ours["comparison"]["departs"] is None
    assert ours["comparison"]["largest"] < 1e-6


def test_failed_run_is_reported():
    result = Result(Run("nengo", "no such network", "first"))
    take_sample(result)
    assert "no such network" in result.error
    assert np.isnan(result.median("build_s"))


def test_timeout_is_reported():
    result = Result(Run("nengo", "channel", "first"))
    take_sample(result, timeout=0.01)
    assert result.error == "took longer than 0.01 s"


def test_plan_of_runs():
    choice = Choice(("nengo", "nengo_dl", "release"), (1, 32), release_python="other")
    runs = plan_runs("channel", "speed", choice, batched=True, unrolled=True)

    who = [(run.competitor, run.minibatch, run.unroll) for run in runs]
    assert who == [
        ("nengo", None, 1),
        ("nengo_dl", 1, 1),
        ("release", 1, 1),
        ("release", 1, 20),
        ("nengo_dl", 32, 1),
        ("release", 32, 1),
        ("release", 32, 20),
    ]
    assert reference_runs(runs) == [Run("nengo", "channel", "first", python="other")]


BY_HAND = [name for name, model in MODELS.items() if model.by_hand is not None]


@pytest.mark.training
@pytest.mark.parametrize("name", BY_HAND)
def test_models_by_hand_compute_the_same(name):
    model = MODELS[name]
    by_hand, net = model.by_hand(), model.network()
    x = np.random.RandomState(1).uniform(size=(2, 1, net.inp.size_out))
    with nengo_dl.Simulator(net, minibatch_size=2, progress_bar=False) as sim:
        ours = sim.predict({net.inp: x})[net.p]
        weights = sim.keras_model.trainable_weights

    theirs = keras.ops.convert_to_numpy(by_hand(x.reshape(2, *by_hand.input_shape[1:])))
    assert np.abs(theirs).max() > 0.1
    assert np.allclose(ours[:, 0], theirs, atol=1e-5)
    sizes = [
        sum(np.prod(w.shape) for w in each)
        for each in (weights, by_hand.trainable_weights)
    ]
    assert sizes[0] == sizes[1]


def test_plan_of_training():
    everybody = ("nengo", "nengo_dl", "keras", "release", "release_keras")
    choice = Choice(everybody, (1, 2), release_python="other", device="/cpu:0")

    runs = plan_training("autoencoder", choice)
    assert [(run.competitor, run.backend, run.python, run.unroll) for run in runs] == [
        ("nengo_dl", "nengo_dl", sys.executable, 1),
        ("keras", "keras", sys.executable, 1),
        ("release", "nengo_dl", "other", 1),
        ("release_keras", "keras", "other", 1),
    ]
    assert [run.device for run in runs] == ["/cpu:0", "/cpu:0", None, None]
    assert all(run.minibatch == 50 for run in runs)
    assert not any(run.inference_only for run in runs)
    assert reference_runs(runs) == []

    runs = plan_training("recurrent", choice)
    assert [(run.competitor, run.minibatch, run.unroll) for run in runs] == [
        ("nengo_dl", 32, 1),
        ("release", 32, 1),
        ("release", 32, 20),
    ]


@pytest.mark.training
def test_training_from_the_shell(tmp_path):
    path = tmp_path / "figures.json"
    command = [sys.executable, "-m", "nengo_dl.benchmarks", "--training"]
    command += ["--networks", "autoencoder", "channel", "--repeats", "1"]
    command += ["--seconds", "0.01", "--device", "/cpu:0", "--json", str(path)]

    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    title = MODELS["autoencoder"].title
    assert sum(line.startswith(title) for line in printed.splitlines()) == 1
    ours, theirs = json.loads(path.read_text())["tables"]["training"]
    assert (ours["competitor"], theirs["competitor"]) == ("nengo_dl", "keras")
    for record in (ours, theirs):
        (sample,) = record["samples"]
        assert sample["ms_per_batch"] > 0
        assert sample["cpu_ms_per_batch"] > 0
        assert 0.1 < sample["loss"] < 0.5
    assert np.isclose(
        ours["samples"][0]["loss"], theirs["samples"][0]["loss"], rtol=1e-5
    )


def test_spiking_models_exist_in_no_keras():
    with pytest.raises(ValueError, match="Only models of one step exist in Keras"):
        keras_trainer(MODELS["recurrent"], keras.optimizers.SGD())


def test_rows_of_training():
    figures = {"nengo_dl": (1.2, 2.2, 0.101), "keras": (1.0, 2.0, 0.1)}
    results = []
    for name, (wall, cpu, loss) in figures.items():
        sample = {"ms_per_batch": wall, "cpu_ms_per_batch": cpu, "loss": loss}
        run = Run(name, "autoencoder", "training", minibatch=50)
        results.append(Result(run, [sample]))

    table = TABLES["training"]
    (row,) = table.rows(NetworkResults("autoencoder", results, {}), Choice(()))
    assert len(row) == len(table.columns)
    assert row[1:] == ["50", "1.00 (2.00)", "1.20 (2.20)", "–", "–"] + [
        "1.20× (1.10×)",
        "–",
        "–",
        "1.0e-02",
    ]


def network_results(**us_per_step):
    """Measured figures of Nengo, ours with two items, and two of the last release."""
    results = [Result(Run("nengo", "channel", "speed"))]
    for unroll in (1, 20):
        run = Run("release", "channel", "speed", minibatch=2, unroll=unroll)
        results.append(Result(run))
    results.append(Result(Run("nengo_dl", "channel", "speed", minibatch=2)))
    for result, figure in zip(results, us_per_step.values(), strict=True):
        result.samples.append({"us_per_step": figure})
    return NetworkResults("channel", results, {})


def test_rows_of_speed():
    measured = network_results(nengo=40.0, release_1=200.0, release_20=100.0, ours=4.0)
    rows = TABLES["simulation"].rows(measured, Choice(("nengo",), minibatches=(2,)))
    assert [row[1:] for row in rows] == [
        ["2", "80.0 (40.0)", "100.0 (50.0)", "4.0 (2.0)", "20×", "25×", "–"]
    ]


def test_rows_without_results():
    empty = NetworkResults("channel", [Result(Run("nengo", "channel", "speed"))], {})
    for name in ("simulation", "step", "build"):
        table = TABLES[name]
        (row,) = table.rows(empty, Choice(("nengo",)))
        assert len(row) == len(table.columns)


def test_rst_table():
    assert rst_table(["a", "bcd"], [["xy", "z"]]).splitlines() == [
        "== ===",
        "a  bcd",
        "== ===",
        "xy z",
        "== ===",
    ]


def test_compare_within_rounding(rng):
    reference = rng.uniform(-1, 1, size=(1, 100, 3))
    comparison = compare((reference + 1e-7).repeat(4, axis=0), reference)
    assert comparison.agrees
    assert comparison.departs is None
    assert np.allclose(comparison.largest, 1e-7)


@pytest.mark.parametrize(
    "step, size, agrees",
    [(60, 1e-2, True), (60, 0.5, False), (10, 1e-2, False), (60, np.nan, False)],
)
def test_compare_departs(step, size, agrees, rng):
    reference = rng.uniform(-1, 1, size=(1, 100, 3))
    output = reference.repeat(2, axis=0)
    output[1, step - 1 :, 2] += size
    comparison = compare(output, reference)
    assert comparison.agrees == agrees
    assert comparison.departs == step
    assert ("spikes shift" if agrees else "DIFFERS") in str(comparison)
