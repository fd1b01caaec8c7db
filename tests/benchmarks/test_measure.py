import numpy as np

from nengo_dl.benchmarks.measure import Result, Run, take_sample


def test_failed_run_is_reported():
    result = Result(Run("nengo", "no such network", "first"))
    take_sample(result)
    assert "no such network" in result.error
    assert np.isnan(result.median("build_s"))


def test_timeout_is_reported():
    result = Result(Run("nengo", "channel", "first"))
    take_sample(result, timeout=0.01)
    assert result.error == "took longer than 0.01 s"
