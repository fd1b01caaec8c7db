import json
import subprocess
import sys

import numpy as np
import pytest

import nengo_dl
from nengo_dl import benchmarks
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.networks import NETWORKS


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


@pytest.mark.long
@pytest.mark.once
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


@pytest.mark.long
@pytest.mark.once
@pytest.mark.training
def test_training_tables(tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = "--training --networks autoencoder channel --repeats 1"
    arguments += " --seconds 0.01 --device /cpu:0 --json"

    with pytest.raises(SystemExit) as info:
        benchmarks.main([*arguments.split(), str(path)])

    assert info.value.code == 0
    printed = capsys.readouterr().out
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
