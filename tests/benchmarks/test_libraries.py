import pytest

from nengo_dl import benchmarks
from nengo_dl.benchmarks.libraries import (
    SIMULATION_COLUMNS,
    figure_of,
    print_libraries,
    simulation_row,
    training_rows,
)
from nengo_dl.benchmarks.measure import Result, Run
from nengo_dl.benchmarks.plan import NetworkResults


@pytest.mark.training
def test_small_training(capsys):
    """Libraries that are not there are no reason to measure nothing."""
    arguments = "--networks --sizes 6 8 8 2 --steps 4 --minibatch 2 --repeats 1"
    print_libraries([*arguments.split(), "--seconds", "0.01"])
    lines = capsys.readouterr().out.splitlines()
    assert "Training 6-8-8-2, 4 steps, minibatch 2" in lines
    ours = next(line.split() for line in lines if line.startswith("NengoDL"))
    assert float(ours[1]) > 0 and ours[3] == "1×"
    for name in ("snnTorch", "SpikingJelly"):
        (row,) = (line for line in lines if line.startswith(name))
        assert "not installed" in row or "×" in row
    assert not any("Failed" in line for line in lines)


def results_of(competitor, error=None, **samples):
    result = Result(Run(competitor, "channel", "speed", python=competitor), error=error)
    if samples:
        result.samples.append(samples)
    return result


MISSING = "ModuleNotFoundError: No module named 'nengo_torch'"


def test_figures():
    assert figure_of(None, "3") == "–"
    assert figure_of(results_of("nengo"), "3") == "3"
    assert figure_of(results_of("nengo_torch", MISSING), "3") == "not installed"
    assert figure_of(results_of("nengo_torch", "KeyError: 1"), "3") == "failed"


def test_row_of_simulation():
    results = [
        results_of("nengo", us_per_step=100.0, cpu_us_per_step=50.0),
        results_of("nengo_torch", MISSING),
        results_of("nengo_dl", us_per_step=8.0, cpu_us_per_step=5.0),
    ]
    row = simulation_row(NetworkResults("channel", results, {}))
    assert len(row) == len(SIMULATION_COLUMNS)
    assert row[1:5] == ["100.0 (50.0)", "–", "not installed", "8.0 (5.0)"]
    assert row[5] == "12.5× (10×), –, not installed"


def test_rows_of_training():
    def sample(wall, cpu):
        losses, versions = [0.3, 0.2], {"torch": "2"}
        figures = {"ms_per_batch": wall, "cpu_ms_per_batch": cpu}
        return {**figures, "losses": losses, "versions": versions}

    results = [
        results_of("snntorch", **sample(30.0, 60.0)),
        results_of("spikingjelly", MISSING),
        results_of("nengo_dl", **sample(10.0, 15.0)),
    ]
    first, second, _ = training_rows(results)
    assert first == [
        "snnTorch",
        "30.0 (60.0)",
        "3× (4×)",
        "0.3000, 0.2000",
        "torch 2",
    ]
    assert second[:2] == ["SpikingJelly", "not installed"]


def test_names_are_checked(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["libraries", "--networks", "chan"])
    assert "chan" in capsys.readouterr().err
