import time

import pytest

from nengo_dl.utils import Stopwatch


def test_stages_add_up(monkeypatch):
    clock = iter([1.0, 1.5, 2.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    times = Stopwatch(["plan", "compile"])
    with times.measure("plan"):
        pass
    with times.measure("trace"):
        pass
    with pytest.raises(ValueError, match="stop"), times.measure("plan"):
        raise ValueError("stop")
    assert dict(times) == {"plan": 1.5, "compile": 0.0, "trace": 2.0}
    assert str(times).splitlines() == [
        "plan        1.500 s",
        "compile     0.000 s",
        "trace       2.000 s",
        "total       3.500 s",
    ]
    assert repr(times) == f"Stopwatch({dict(times)})"
    assert len(times) == 3
    times.clear()
    assert dict(times) == {"plan": 0, "compile": 0, "trace": 0}
