import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.config import Settings
from nengo_dl.simulation.steps import (
    check_counts,
    check_n_steps,
    steps_of_time,
    whole_iterations,
)


def test_n_steps_as_data():
    assert check_counts(np.full((3, 1), 5), 3) == 5
    assert check_counts(np.full((3, 1), 5.0), 3, n_steps=5) == 5


@pytest.mark.parametrize(
    "value, n_steps, message",
    [
        (np.array(5), None, "wrong shape"),
        (np.ones((2, 1)), None, "wrong shape"),
        ([[1], [2], [1]], None, "have the same value"),
        (np.full((3, 1), 10), 5, r"\(10\) does not match.*\(5\)"),
        ([["x"]] * 3, None, "must be numbers"),
    ],
)
def test_bad_n_steps_as_data(value, n_steps, message):
    with pytest.raises(ValidationError, match=message):
        check_counts(value, 3, n_steps)


@pytest.mark.parametrize(
    "n_steps", [10, 10.0, np.int64(10), np.array(10), tf.ones(()) * 10]
)
def test_whole_iterations(n_steps):
    whole = whole_iterations(n_steps, 5)
    assert whole == 10 and isinstance(whole, int)


@pytest.mark.parametrize(
    "n_steps, unroll, whole", [(2, 5, 5), (11, 5, 15), (2.5, 1, 3), (0.1, 4, 4)]
)
def test_round_up(n_steps, unroll, whole):
    with pytest.warns(RuntimeWarning, match=f"Simulating {whole} steps instead of"):
        assert whole_iterations(n_steps, unroll) == whole


@pytest.mark.parametrize("n_steps", [-1, -0.5, np.inf, np.nan, "5", [5], None, 1j])
def test_bad_number_of_steps(n_steps):
    with pytest.raises(ValidationError, match="must be a number"):
        whole_iterations(n_steps, 1)


@pytest.mark.parametrize("n_steps", [2.0**31, 1e30, 10**30])
def test_too_many_steps(n_steps):
    with pytest.raises(ValidationError, match="too many steps"):
        whole_iterations(n_steps, 1)


@pytest.mark.parametrize("n_steps", [0, 1.5, 2.0, True, "1", [1], 2**31])
def test_bad_number_of_steps_for_keras(n_steps):
    with pytest.raises(ValidationError, match="n_steps"):
        check_n_steps(n_steps, Settings())
    assert check_n_steps(np.int64(2), Settings()) == 2


@pytest.mark.parametrize("seconds", [1, 1.0, np.float32(1), np.array(1)])
def test_time(seconds):
    assert steps_of_time(seconds, 0.001) == 1000
    assert steps_of_time(seconds, 0.003) == 333


@pytest.mark.parametrize(
    "seconds, message",
    [
        *((value, "must be a number") for value in ("1", None, 1j, [1], True)),
        *((value, "Must be positive") for value in (-1, -1e-9, np.nan, np.inf)),
        *((value, "1e\\+30 seconds are too many steps") for value in (1e30, 10**30)),
    ],
)
def test_bad_times(seconds, message):
    with pytest.raises(ValidationError, match=f"time_in_seconds: {message}"):
        steps_of_time(seconds, 0.001)


def test_no_loop():
    assert whole_iterations(0, 5, use_loop=False) == 0
    assert whole_iterations(5, 5, use_loop=False) == 5
    with pytest.raises(ValidationError, match="use_loop=False exactly.*=5"):
        whole_iterations(10, 5, use_loop=False)
