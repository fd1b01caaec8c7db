from nengo_dl.benchmarks.measure import Result, Run
from nengo_dl.benchmarks.plan import Choice, NetworkResults
from nengo_dl.benchmarks.tables import TABLES, rst_table


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


def sitting(**us_per_step):
    """Measured figures of Nengo, ours with two items, and two of the last release."""
    results = [Result(Run("nengo", "channel", "speed"))]
    for unroll in (1, 20):
        run = Run("release", "channel", "speed", minibatch=2, unroll=unroll)
        results.append(Result(run))
    results.append(Result(Run("nengo_dl", "channel", "speed", minibatch=2)))
    for result, figure in zip(results, us_per_step.values(), strict=True):
        times = {"us_per_step": figure, "cpu_us_per_step": 2 * figure}
        result.samples.append(times)
    return NetworkResults("channel", results, {})


def test_rows_of_speed():
    measured = sitting(nengo=40.0, release_1=200.0, release_20=100.0, ours=4.0)
    rows = TABLES["simulation"].rows(measured, Choice(("nengo",), minibatches=(2,)))
    assert [row[1:] for row in rows] == [
        ["2", "80.0 (40.0)", "100.0 (50.0)", "4.0 (2.0)", "20×", "25×", "–"]
    ]
    choice = Choice(("nengo",), minibatches=(2,), processor_time=True)
    (row,) = TABLES["simulation"].rows(measured, choice)
    assert row[2:5] == ["160.0 (80.0)", "200.0 (100.0)", "8.0 (4.0)"]


def test_rows_without_results():
    empty = NetworkResults("channel", [Result(Run("nengo", "channel", "speed"))], {})
    for name in ("simulation", "functions", "step", "build", "first"):
        table = TABLES[name]
        (row,) = table.rows(empty, Choice(("nengo",)))
        assert len(row) == len(table.columns)


def test_rows_of_first_results():
    parts = {"import_cpu_s": 1.0, "build_cpu_s": 0.5, "first_cpu_s": 0.25}
    run = Run("nengo_dl", "channel", "first", minibatch=1)
    measured = NetworkResults("channel", [Result(run, [parts])], {})
    (row,) = TABLES["first"].rows(measured, Choice(()))
    assert row[1:4] == ["–", "–", "1.75 (1.00 + 0.50 + 0.25)"]

    run = Run("nengo_dl", "chain", "training", minibatch=32)
    parts = {"build_s": 1, "first_s": 2}
    measured = NetworkResults("chain", [Result(run, [parts])], {})
    (row,) = TABLES["first-fit"].rows(measured, Choice(()))
    assert row[1:] == ["32", "3.0 (1.0 + 2.0)", "–"]


def test_rst_table():
    assert rst_table(["a", "bcd"], [["xy", "z"]]).splitlines() == [
        "== ===",
        "a  bcd",
        "== ===",
        "xy z",
        "== ===",
    ]
