"""
Runs a group of operators both by its builder and by Nengo's own step functions.

Every item of the minibatch must get what Nengo computes for it alone.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.builder.signal import SignalDict as NengoSignalDict

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.config import Settings
from nengo_dl.execution.operator_steps import NumpyOperators
from nengo_dl.execution.step import Step
from nengo_dl.graph.layout import lay_out, sparse_indices
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.utils import ErrorBox


def signal(*shape, shared=False):
    """Return a signal; a shared one has no minibatch axis."""
    result = Signal(shape=shape)
    result.minibatched = not shared
    return result


def view(shape, index, shared=False):
    """Return a part of a signal."""
    return signal(*shape, shared=shared)[index]


def base_signals(ops):
    """Return the base signals of operators, each once, in order."""
    return list(dict.fromkeys(s.base for op in ops for s in op.all_signals))


def make_step(ops, minibatch_size, dtype="float64", **config):
    """Return a `Step` that consists of one group; `config` is for `BuildConfig`."""
    signals = base_signals(ops)
    written = {s.base for op in ops for s in op.sets + op.incs + op.updates}
    for signal in signals:
        if not hasattr(signal, "minibatched"):
            signal.minibatched = signal in written
    plan = (tuple(ops),)
    program = SimpleNamespace(
        settings=Settings(dtype=dtype, minibatch_size=minibatch_size),
        plan=plan,
        layout=lay_out(signals, plan, dtype=dtype),
        carried=(),
        probes={},
        dt=0.001,
    )
    defaults = {
        "inference_only": False,
        "lif_smoothing": None,
        "cpu_only": True,
        "rng": np.random.RandomState(0),
        "training": False,
    }
    step = Step(program, BuildConfig(**{**defaults, **config}), ErrorBox())
    in_numpy = [op for op in ops if Builder.runs_in_numpy(op)]
    if in_numpy:
        operators = NumpyOperators(in_numpy, minibatch_size, program.dt)
        for item in range(minibatch_size):
            for op in in_numpy:
                operators.make_step(op, item, np.random.RandomState(item))
        step.signals.operator_steps = operators.steps
        step.builder.build_post(step.signals)
    return step


def random_values(signals, minibatch_size, rng):
    """
    Return a value for every (base) signal.

    Random numbers, unless the signal has an initial value (or holds integers).
    """
    values = {}
    for signal in signals:
        batch = (minibatch_size,) if signal.minibatched else ()
        if signal.sparse:
            values[signal] = sparse_indices(signal)[1]
        elif (
            np.issubdtype(signal.dtype, np.floating) and not signal.initial_value.any()
        ):
            values[signal] = rng.uniform(-1, 1, size=(*batch, *signal.shape))
        else:
            values[signal] = np.broadcast_to(
                signal.initial_value, (*batch, *signal.shape)
            )
    return values


def run_builder(ops, values, minibatch_size, n_steps=1, jit_compile=False, **kwargs):
    """Return the values of all signals after some steps of the group's builder."""
    step = make_step(ops, minibatch_size, **kwargs)
    layout = step.program.layout
    start = {}
    for key, array in layout.arrays.items():
        parts = []
        for signal in array.signals:
            value = values[signal]
            batch = value.shape[: int(array.minibatched)]
            parts.append(np.reshape(value, (*batch, -1, *array.shape[1:])))
        value = np.concatenate(parts, axis=int(array.minibatched))
        start[key] = value.astype(array.dtype)

    def run(bases):
        arrays = layout.arrays
        step.start({k: v for k, v in bases.items() if not arrays[k].minibatched})
        step.signals.bases = dict(bases)
        for i in range(n_steps):
            step.signals.step = tf.constant(i + 1)
            step.builder.build_step(step.signals)
        return step.signals.bases

    start = {key: tf.constant(value) for key, value in start.items()}
    with step.signals.errors.unwrap():
        if jit_compile:
            run = tf.function(run, jit_compile=True, autograph=False)
        bases = run(start)
    results = {}
    for signal, (key, first, last) in layout.places.items():
        value = bases[key].numpy()
        if layout.arrays[key].minibatched:
            assert len(value) == minibatch_size
            results[signal] = value[:, first:last].reshape((-1, *signal.shape))
        else:
            results[signal] = value[first:last]
            if not signal.sparse:
                results[signal] = results[signal].reshape(signal.shape)
    return results, step


def run_nengo(ops, values, minibatch_size, n_steps=1):
    """Return the values of all signals after some of Nengo's steps."""
    items = []
    for item in range(minibatch_size):
        signals = NengoSignalDict()
        for op in ops:
            op.init_signals(signals)
        for signal, value in values.items():
            if not signal.sparse:
                signals[signal].setflags(write=True)
                signals[signal] = value[item] if signal.minibatched else value
        steps = [op.make_step(signals, 0.001, np.random) for op in ops]
        for _ in range(n_steps):
            for step in steps:
                step()
        items.append({s: np.array(signals[s]) for s in values if not s.sparse})
    return {
        s: np.stack([item[s] for item in items]) if s.minibatched else items[0][s]
        for s in values
        if not s.sparse
    }


def gradients(ops, minibatch_size, jit_compile=False, **config):
    """Return gradients in training, with regard to all signals before two steps."""
    step = make_step(ops, minibatch_size, training=True, **config)
    arrays = step.program.layout.arrays
    rng = np.random.RandomState(0)
    start = {
        key: tf.constant(rng.uniform(-1, 1, size=array.full_shape(minibatch_size)))
        for key, array in arrays.items()
    }

    def compute(start):
        with tf.GradientTape() as tape:
            tape.watch(start)
            step.start({k: v for k, v in start.items() if not arrays[k].minibatched})
            carried = {k: v for k, v in start.items() if arrays[k].minibatched}

            def body(i, carried):
                step.signals.bases = {**step.constants, **carried}
                step.builder.build_step(step.signals)
                return i + 1, {key: step.signals.bases[key] for key in carried}

            _, after = tf.while_loop(
                lambda i, _: i < 2,
                body,
                (tf.constant(0), carried),
                maximum_iterations=2,
            )
            loss = sum(tf.reduce_sum(value**3) for value in after.values())
        return tape.gradient(loss, start)

    run = tf.function(compute, jit_compile=jit_compile, autograph=False)
    return run(start), step


def check(ops, minibatch_sizes=(1, 3), n_steps=1, atol=1e-12, seed=0, **kwargs):
    """Compare the builder of a group with Nengo; return the `Step` of the last run."""
    for minibatch_size in minibatch_sizes:
        for signal in base_signals(ops):
            if not hasattr(signal, "minibatched"):
                signal.minibatched = not signal.sparse
        assert all(mergeable(op, ops[:1]) for op in ops[1:])
        rng = np.random.RandomState(seed)
        values = random_values(base_signals(ops), minibatch_size, rng)
        expected = run_nengo(ops, values, minibatch_size, n_steps)
        results, step = run_builder(ops, values, minibatch_size, n_steps, **kwargs)
        for signal, value in expected.items():
            np.testing.assert_allclose(
                results[signal], value, rtol=1e-12, atol=atol, err_msg=str(signal)
            )
    return step
