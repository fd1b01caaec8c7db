import numpy as np
import pytest

from nengo_dl.benchmarks.compare import compare


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
