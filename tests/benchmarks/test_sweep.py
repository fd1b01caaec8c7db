import json

from nengo_dl.benchmarks import sweep


def measured(tmp_path, **options):
    path = tmp_path / "figures.json"
    args = sweep.parse_arguments([f"--result={path}", "--device=/cpu:0"])
    vars(args).update(minibatch=[1, 2], seconds=0.01, **options)
    sweep.measure_sizes(args)
    return json.loads(path.read_text())


def test_one_size_in_time(tmp_path):
    """The first size is always measured, the others if there is time."""
    (figures,) = measured(tmp_path, limit=0)
    assert figures["minibatch"] == 1 and figures["us_per_step"] > 0
    assert figures["comparison"]["departs"] is None


def test_failure_is_noted(tmp_path, monkeypatch):
    def fail(*args):
        raise MemoryError("too\nmuch")

    monkeypatch.setattr(sweep, "measure_size", fail)
    (figures,) = measured(tmp_path)
    assert figures == {"minibatch": 1, "error": "MemoryError: too"}


def test_devices():
    devices = sweep.list_devices()
    assert devices[0]["name"] == "/cpu:0"
