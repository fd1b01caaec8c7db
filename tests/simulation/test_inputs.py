import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.config import Settings
from nengo_dl.simulation.arrays import Extent
from nengo_dl.simulation.inputs import check_inputs, inputs_by_node, name_data

NODES = nengo.Node([0], add_to_container=False), nengo.Node([0], add_to_container=False)
OTHER = nengo.Node(size_in=1, add_to_container=False)
NAMES = dict(zip(NODES, ("a", "b")))


def test_forms_of_data():
    x, y = np.zeros((1, 2, 3)), np.ones((1, 2, 3))
    assert name_data(None, NAMES, "Nodes") == {}
    assert name_data({NODES[1]: y, "a": x}, NAMES, "Nodes") == {"a": x, "b": y}
    assert name_data([x, y], NAMES, "Nodes") == {"a": x, "b": y}
    assert name_data((x, y), NAMES, "Nodes") == {"a": x, "b": y}
    assert name_data(x, {NODES[0]: "a"}, "Nodes") == {"a": x}
    assert name_data({"n_steps": 3}, NAMES, "Nodes") == {"n_steps": 3}


def test_generators_are_for_keras():
    generator = (i for i in range(3))
    assert name_data(generator, NAMES, "Nodes") is generator
    assert name_data(range(3), NAMES, "Nodes") == range(3)


@pytest.mark.parametrize("data", [np.zeros((1, 2, 3)), [np.zeros((1, 2, 3))]])
@pytest.mark.parametrize("kind", ["Nodes", "Probes"])
def test_too_few_arrays(data, kind):
    with pytest.warns(UserWarning, match=f"does not match number of {kind}"):
        named = name_data(data, NAMES, kind)
    assert list(named) == ["a"]


def test_too_many_arrays():
    with pytest.warns(UserWarning, match="does not match number of Nodes"):
        named = name_data([0, 1, 2], NAMES, "Nodes")
    assert named == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    "key, kind, message",
    [
        ("c", "Nodes", r"'c' is not a valid node name; the names are \['a', 'b'\]"),
        ("c", "Probes", "'c' is not a valid probe name"),
        (OTHER, "Nodes", "not a valid node name"),
        (OTHER, "Probes", "not a valid probe name"),
        (3, "Nodes", "not a valid input"),
    ],
)
def test_unknown_keys(key, kind, message):
    with pytest.raises(ValidationError, match=message):
        name_data({key: 0}, NAMES, kind)


def test_one_node_twice():
    with pytest.raises(ValidationError, match="two arrays for 'a'"):
        name_data({NODES[0]: 0, "a": 1}, NAMES, "Nodes")


def check(minibatch_size=3, n_steps=None, batch_size=None, sizes=(2, 2), **data):
    settings = Settings(minibatch_size=minibatch_size)
    return check_inputs(data, dict(zip("ab", sizes)), settings, n_steps, batch_size)


@pytest.mark.parametrize(
    "value",
    [
        np.ones((3, 5, 2), dtype=np.uint8),
        np.ones((3, 5, 2), dtype=bool),
        np.ones((3, 5, 2), dtype=np.float64),
        np.ones((3, 5, 2)).tolist(),
        tf.ones((3, 5, 2)),
    ],
    ids=["uint8", "bool", "float64", "list", "tensor"],
)
def test_arrays_of_all_kinds(value):
    array = check(a=value)["a"]
    assert isinstance(array, np.ndarray)
    assert (array == np.ones((3, 5, 2))).all()


@pytest.mark.parametrize(
    "data, arguments, message",
    [
        ({"a": np.ones((3, 5))}, {}, r"should have rank 3.*received shape \(3, 5\)"),
        ({"a": 1.0}, {}, "should have rank 3"),
        ({"a": np.ones((0, 5, 2))}, {}, "Data for 'a' have no items"),
        (
            {"a": np.ones((6, 5, 2))},
            {"batch_size": 3},
            r"Batch size of data \(6\) for 'a' does not match expected size \(3\)",
        ),
        (
            {"a": np.ones((3, 5, 2))},
            {"n_steps": 4},
            r"timesteps of data \(5\) for 'a' does not match expected size \(4\)",
        ),
        (
            {"a": np.ones((3, 5, 2)), "b": np.ones((6, 5, 2))},
            {},
            "different batch size.*'a': 3, 'b': 6",
        ),
        (
            {"a": np.ones((3, 5, 2)), "b": np.ones((3, 6, 2))},
            {},
            "different number of timesteps.*'a': 5, 'b': 6",
        ),
        ({"a": np.ones((3, 5, 1))}, {}, "'a' have 1 values per step.*size_out=2"),
        ({"a": np.full((3, 5, 2), np.nan)}, {}, "'a' contain NaN"),
        ({"a": tf.fill((3, 5, 2), np.nan)}, {}, "'a' contain NaN"),
        ({"a": np.full((3, 5, 2), -np.inf)}, {}, "'a' contain infinite values"),
        ({"a": np.full((3, 5, 2), -1e300)}, {}, "-1e\\+300.* infinite in float32"),
        ({"a": np.ma.masked_equal(np.ones((3, 5, 2)), 1)}, {}, "a masked array"),
        ({"a": [np.ma.masked_equal(np.ones((5, 2)), 1)] * 3}, {}, "a masked array"),
        ({"a": np.ones((3, 5, 2), dtype=complex)}, {}, "must be numbers.*complex"),
        ({"a": [[["x"]]]}, {}, "must be numbers"),
        ({"a": [[[1], [1, 2]]]}, {}, "cannot be made into an array"),
    ],
)
def test_bad_arrays(data, arguments, message):
    with pytest.raises(ValidationError, match=message):
        check(**arguments, **data)


@pytest.mark.parametrize(
    "values, extent",
    [
        ([], (0, 0, False)),
        ([3, -2], (-2, 3, False)),
        ([True, True], (1, 1, False)),
        ([np.nan, 1, np.inf], (1, np.inf, True)),
        ([np.nan], (0, 0, True)),
        (np.uint64(2**64 - 1), (2**64, 2**64, False)),
    ],
)
def test_extent(values, extent):
    assert Extent.of(np.array(values)) == extent


def test_numbers_of_other_float_types():
    large = np.full((3, 5, 2), 70000)
    settings = [Settings(minibatch_size=3, dtype=f"float{n}") for n in (16, 32, 64)]
    with pytest.raises(ValidationError, match="infinite in float16"):
        check_inputs({"a": large}, {"a": 2}, settings[0])
    check_inputs({"a": large}, {"a": 2}, settings[1])
    check_inputs({"a": np.full((3, 5, 2), 1e300)}, {"a": 2}, settings[2])
    # nothing is hidden by the mask
    check(a=np.ma.masked_equal(np.ones((3, 5, 2)), 0))


def test_several_batches():
    assert check(a=np.ones((6, 5, 2)), b=np.ones((6, 5, 2)))["b"].shape == (6, 5, 2)


def test_inputs_by_node():
    x, settings = np.ones((3, 5, 1)), Settings(minibatch_size=3)
    assert inputs_by_node(None, NAMES, settings, 5) == {}
    inputs = inputs_by_node({"b": x, "n_steps": np.full((3, 1), 5)}, NAMES, settings, 5)
    assert list(inputs) == [NODES[1]]
    assert inputs[NODES[1]] is x

    with pytest.raises(SimulationError, match="automatically add n_steps.*`range`"):
        inputs_by_node(range(5), NAMES, settings, 5)
    with pytest.raises(ValidationError, match="does not match expected size"):
        inputs_by_node({"b": np.ones((6, 5, 1))}, NAMES, settings, 5)
    with pytest.raises(ValidationError, match="does not match the number of steps"):
        inputs_by_node({"n_steps": np.full((3, 1), 4)}, NAMES, settings, 5)
