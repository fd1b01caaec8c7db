"""Functions and loops that run in the thread of the caller."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.execution.inline import InlineFunction, inline_while_loop


@pytest.fixture(scope="module")
def powers():
    """
    Return a function of a number and a number of steps, and the threads that run it.

    It multiplies the number by that of a variable in every step; Python does it.
    """
    threads = set()
    factor = tf.Variable(3.0)

    def multiply(x, y):
        threads.add(threading.get_ident())
        return x * y

    @tf.function(autograph=False)
    def function(x, n_steps):
        value = tf.convert_to_tensor(factor)  # used in the loop, from outside of it

        def body(i, n, x):
            x = tf.ensure_shape(tf.numpy_function(multiply, [x, value], x.dtype), ())
            return [i + 1, n, x]

        loop_vars = [tf.constant(0), n_steps, x]
        _, _, x = inline_while_loop(lambda i, n, _: i < n, body, loop_vars)
        return {"power": x, "n_steps": n_steps}

    spec, n_spec = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)
    return function.get_concrete_function(spec, n_spec), factor, threads


@pytest.mark.parametrize("n_steps", [0, 1, 5])
def test_inline_loop(powers, n_steps):
    function, factor, _ = powers
    factor.assign(3)
    output = function(tf.constant(2.0), tf.constant(n_steps))
    assert output["power"].numpy() == 2 * 3**n_steps


def test_inline_function_stays_in_the_thread(powers):
    function, factor, threads = powers
    inline = InlineFunction(function)
    threads.clear()
    # outputs are in the order in which `tf.nest` flattens them
    n_steps, power = inline([tf.constant(2.0), tf.constant(4)])
    assert (n_steps.numpy(), power.numpy()) == (4, 2 * 3**4)
    assert threads == {threading.get_ident()}

    # variables have the values of the time of the call
    factor.assign(2)
    assert inline([tf.constant(2.0), tf.constant(4)])[1].numpy() == 2 * 2**4


def test_errors_leave_inline_functions():
    def fail(x):
        raise ValueError("this is the message")

    function = tf.function(
        lambda x: tf.numpy_function(fail, [x], tf.float32), autograph=False
    ).get_concrete_function(tf.TensorSpec((2,), tf.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="this is the message"):
        InlineFunction(function)([tf.constant(np.zeros(2, "float32"))])
