"""Functions that XLA compiles along with their gradients."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.execution.compiled_gradient import compiled_with_gradient

pytestmark = pytest.mark.training


class Result(NamedTuple):
    values: dict
    count: tf.Tensor


@pytest.fixture
def calls():
    """What `power` was called with: tensors, or constants."""
    return []


def power(calls, factor=1):
    def function(x, n, numbers):
        calls.append(n)
        y, _ = tf.while_loop(
            lambda y, i: i < n,
            lambda y, i: (y * numbers["x"] * factor, i + 1),
            (x, 0),
            maximum_iterations=n,
        )
        return Result({"y": y, "unused": numbers["z"]}, tf.constant(n))

    return function


def gradients(function, x, z):
    """Returns values and gradients, of a function that is traced."""

    @tf.function(autograph=False)
    def traced(x, z):
        with tf.GradientTape() as tape:
            tape.watch([x, z])
            result = function(x, 3, {"x": x, "z": z, "array": np.ones(2)})
            loss = tf.reduce_sum(result.values["y"] ** 2)
        return result, tape.gradient(loss, [x, z], unconnected_gradients="zero")

    return traced(x, z)


def test_gradient_of_a_loop(calls):
    x, z = tf.constant([1.0, 2.0]), tf.constant([5, 6])
    function = compiled_with_gradient(power(calls))
    result, (of_x, _) = gradients(function, x, tf.cast(z, tf.float32))
    np.testing.assert_allclose(result.values["y"], [1, 16])
    np.testing.assert_allclose(of_x, 8 * x.numpy() ** 7, rtol=1e-6)
    np.testing.assert_array_equal(result.values["unused"], z)
    assert result.count == 3
    # it is computed once more for the gradient
    assert calls == [3, 3]


def test_variables_are_not_lost(calls):
    factor = tf.Variable(2.0)

    @tf.function(autograph=False)
    def traced(x):
        with tf.GradientTape() as tape:
            function = compiled_with_gradient(power(calls, factor))
            y = function(x, 3, {"x": x, "z": x}).values["y"]
        return tape.gradient(y, factor)

    np.testing.assert_allclose(traced(tf.constant(1.0)), 12)


def test_nothing_comes_out():
    assert compiled_with_gradient(lambda x: {})(tf.constant(1.0)) == {}
