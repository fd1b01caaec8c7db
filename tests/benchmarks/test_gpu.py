import json

import pytest

from nengo_dl import benchmarks
from nengo_dl.benchmarks.gpu import (
    COMMAND_BUFFERS,
    TRAINING_COLUMNS,
    Budget,
    Sweep,
    Variant,
    choose_variants,
    overtaking_rows,
    simulation_row,
    training_cells,
)
from nengo_dl.benchmarks.measure import Result, Run
from nengo_dl.benchmarks.plan import NetworkResults

CPU, GPU = ({"name": name, "model": ""} for name in ("/cpu:0", "/gpu:0"))


def test_variants():
    (only,) = choose_variants([CPU], None)
    assert only == Variant("/cpu:0", "/cpu:0")
    with_gpu = choose_variants([CPU, GPU], None)
    assert [variant.device for variant in with_gpu] == ["/cpu:0", "/gpu:0", "/gpu:0"]
    assert [variant.flags for variant in with_gpu] == ["", "", COMMAND_BUFFERS]
    with pytest.raises(SystemExit, match="received .*gpu"):
        choose_variants([CPU], ["/gpu:0"])


def test_flags_are_added(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--first")
    assert Variant("a", "/gpu:0", "--b").environment()["XLA_FLAGS"] == "--first --b"
    monkeypatch.delenv("XLA_FLAGS")
    assert "XLA_FLAGS" not in Variant("a", "/cpu:0").environment()


def test_budget():
    """Who comes last has time left, even if all others take all of theirs."""
    budget = Budget(400, 4)
    assert 149 < budget.share() <= 150
    assert 199 < budget.share() <= 200  # (three are left)
    assert Budget(0, 2).share(2) == 20


def sweep(label, times):
    figures = {n: {"us_per_step": t, "difference": label} for n, t in times.items()}
    return Sweep("channel", Variant(label, label), figures)


def test_rows():
    sizes = (1, 2, 4, 8)
    cpu = sweep("cpu", {1: 10.0, 2: 20.0, 4: 40.0})  # too slow for the largest
    assert simulation_row([cpu, sweep("gpu", {1: 25.0})], 2)[1:] == [
        *("2", "20.0", "–"),
        "cpu / –",
    ]
    for times, expected in (
        ({1: 25.0, 2: 25.0, 4: 25.0, 8: 25.0}, "4"),
        ({1: 45.0, 2: 45.0, 4: 45.0, 8: 45.0}, "≤ 8"),
        ({1: 45.0, 2: 45.0, 4: 45.0}, "never"),
        ({}, "–"),
    ):
        ((_, cell),) = overtaking_rows([cpu, sweep("gpu", times)], sizes)
        assert cell == expected
    assert overtaking_rows([cpu], sizes) == []


def test_cells_of_training():
    results = []
    for name, wall in (("nengo_dl", 1.5), ("keras", 1.0)):
        sample = {"ms_per_batch": wall, "cpu_ms_per_batch": 2.0, "loss": 1.0}
        run = Run(name, "autoencoder", "training", minibatch=50, device="/gpu:0")
        results.append(Result(run, [sample]))
    cells = training_cells(NetworkResults("autoencoder", results, {}))
    assert len(cells) == len(TRAINING_COLUMNS) - 1
    assert cells[1:] == ["50", "1.00 (2.00)", "1.50 (2.00)", "1.50× (1.00×)", "0.0e+00"]


@pytest.mark.long
def test_two_devices(tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = "gpu --networks channel --models --minibatch 2 --seconds 0.01"
    arguments += " --logical-cpus 2 --devices /cpu:0 /cpu:1 --json"
    with pytest.raises(SystemExit) as info:
        benchmarks.main([*arguments.split(), str(path)])
    assert info.value.code == 0
    printed = capsys.readouterr().out
    assert "TensorFlow finds no GPU here" in printed or "/gpu:0" in printed
    assert "Not complete" not in printed
    report = json.loads(path.read_text())
    assert {"/cpu:0", "/cpu:1"} <= {device["name"] for device in report["devices"]}
    for record, device in zip(report["simulation"], ("/cpu:0", "/cpu:1"), strict=True):
        assert (record["device"], record["error"]) == (device, None)
        (figures,) = record["figures"]
        assert figures["minibatch"] == 2 and figures["us_per_step"] > 0
        assert figures["comparison"]["departs"] is None
