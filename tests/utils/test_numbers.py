import pickle

import nengo
import numpy as np
import pytest
from nengo.base import FrozenObject
from nengo.exceptions import ValidationError

from nengo_dl.utils import RealParam, as_number, is_integer


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), np.array(2.0)])
def test_numbers(value):
    number = as_number(value, "x")
    assert number == 2 and type(number) in (int, float)


def test_large_numbers():
    assert as_number(10**400, "x") == 10**400


@pytest.mark.parametrize("value", ["1", None, 1j, True, [1], np.ones(1), object()])
def test_no_numbers(value):
    with pytest.raises(ValidationError, match="x: must be a number .received"):
        as_number(value, "x")


def test_integers():
    assert is_integer(1) and is_integer(np.int8(1))
    assert not any(map(is_integer, (1.0, True, "1", None, np.bool_(True))))


class Numbers(FrozenObject):
    finite = RealParam("finite", low=0)
    number = RealParam("number", high=0, finite=False, optional=True)

    def __init__(self, finite=0.0, number=None):
        super().__init__()
        self.finite, self.number = finite, number


def test_parameters():
    numbers = Numbers(np.float32(0.5), -np.inf)
    assert (numbers.finite, numbers.number) == (0.5, -np.inf)
    assert pickle.loads(pickle.dumps(numbers)) == numbers
    assert Numbers(2, None).number is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"finite": np.nan}, "finite: must be a finite number .received nan"),
        ({"finite": np.inf}, "finite: must be a finite number .received inf"),
        ({"finite": np.array(np.nan)}, "finite: must be a finite number"),
        ({"number": np.float32(np.nan)}, "number: must be a number .received nan"),
        # as of Nengo
        ({"finite": -1}, "greater than"),
        ({"number": 1.0}, "less than"),
        ({"number": "1"}, "Must be a number"),
    ],
)
def test_impossible_parameters(arguments, message):
    with pytest.raises(ValidationError, match=message):
        Numbers(**arguments)


def test_parameters_in_networks():
    """Defaults of a config are checked as well."""
    with nengo.Network() as net:
        net.config.configures(nengo.Ensemble)
        net.config[nengo.Ensemble].set_param("x", RealParam("x", low=0, default=1))
        with pytest.raises(ValidationError, match="finite"):
            net.config[nengo.Ensemble].x = np.nan
