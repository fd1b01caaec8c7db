import json

import numpy as np
import pytest

from nengo_dl.benchmarks.convolutions import COLUMNS, Task, main, table_rows


@pytest.mark.training
def test_small_network(tmp_path):
    path = tmp_path / "figures.json"
    options = "--image 7 --filters 2 2 --steps 3 --turns 1 --minibatch 2"
    main([*options.split(), "--device=/cpu:0", f"--result={path}"])
    record = json.loads(path.read_text())
    assert record["departs"] is None and record["relative_difference"] < 1e-5
    assert all(min(times) > 0 for times in record["times"].values())
    for name, row in zip(("run", "train"), table_rows(record), strict=True):
        assert len(row) == len(COLUMNS)
        assert row[:2] == ["2", name]


def test_products_are_those_of_the_network():
    """Without neurons between them, products are linear in the images."""
    task = Task(7, (2, 3))
    outputs = [task.products(2, xla)["run"]() for xla in (False, True)]
    assert outputs[0].shape == (2, 10)
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-3, atol=1e-5)
    sizes = [conn.transform.size_out for conn in task.net.all_connections[:2]]
    assert sizes == [5 * 5 * 2, 2 * 2 * 3]
    assert task.readout.shape == (sizes[1], 10)


def test_rows():
    times = {
        "run": (0.004, 0.006),
        "run products": (0.003, 0.001),
        "run products XLA": (0.002, 0.002),
        "train": (0.01, 0.01),
        "train products": (0.01, 0.01),
        "train products XLA": (0.02, 0.01),
    }
    record = {"times": times, "relative_difference": 1e-3, "departs": 7}
    run, train = table_rows({"minibatch": 1, **record})
    assert run[:2] == ["1", "run"]
    assert run[2:5] == ["4.0 (6.0)", "2.0 (2.0)", "2.00× (3.00×)"]
    assert run[5] == "1.0e-03 (from step 7)"
    assert train[4:] == ["1.00× (1.00×)", "–"]
    (failed,) = table_rows({"minibatch": 1, "error": "KeyError"})
    assert failed[1] == "failed" and len(failed) == len(COLUMNS)
