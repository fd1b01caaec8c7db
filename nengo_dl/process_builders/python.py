"""Processes without a TensorFlow version: NumPy code, called in every step."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError

from nengo_dl.builder import OpBuilder
from nengo_dl.process_builders.synapses import n_rows
from nengo_dl.utils import note_origin, numpy_function


class GenericProcessBuilder(OpBuilder):
    """
    Run processes of any type by their NumPy step, item by item of the minibatch.

    Every item has a step function of its own. The state variables of a process are
    signals: before a step they are copied into the arrays that the step function
    knows, and copied back afterwards. State that a process keeps elsewhere (such as a
    random number generator) starts anew with `build_post` only.
    """

    pure = False

    def __init__(self, ops):
        super().__init__(ops)
        self._steps: list[list] = []

    def build_pre(self, signals, config) -> None:
        """Prepare time, input, output and state."""
        super().build_pre(signals, config)
        self.time = signals[self.ops[0].t]
        self.input = signals.combine([op.input for op in self.ops])
        self.output = signals.combine([op.output for op in self.ops])
        self.mode = "inc" if self.ops[0].mode == "inc" else "update"
        self.state = {
            name: signals.combine([op.state[name] for op in self.ops])
            for name in self.ops[0].state
        }

    def build_step(self, signals) -> None:
        """Call the processes."""
        batch, dt = signals.minibatch_size, signals.dt_val
        u = signals.gather(self.input)
        if not self.input.minibatched:
            u = tf.broadcast_to(u[None], (batch, *u.shape))
        state = [signals.gather(sig) for sig in self.state.values()]

        def step_processes(time, u, *state):
            return self._step(round(time.item() / dt) * dt, u, state)

        targets = [self.output, *self.state.values()]
        outputs = numpy_function(
            step_processes,
            [signals.gather(self.time), u, *state],
            [tf.as_dtype(sig.dtype) for sig in targets],
            errors=signals.errors,
        )
        modes = [self.mode] + ["update"] * len(self.state)
        for sig, value, mode in zip(targets, outputs, modes):
            value.set_shape((batch, *sig.shape))
            signals.scatter(sig, value, mode=mode)

    def build_post(self, signals) -> None:
        """Make the step functions, with the random number generators of the run."""
        self._steps = [
            [
                ProcessStep(op, signals.dt_val, signals.process_rngs[op][item])
                for op in self.ops
            ]
            for item in range(signals.minibatch_size)
        ]

    def _step(self, time: float, u, state) -> list[np.ndarray]:
        """
        Run one step of all processes.

        Parameters
        ----------
        time : float
            Time of the step in seconds.
        u : (minibatch_size, n_in, ...) array
            Input.
        state : sequence of (minibatch_size, n, ...) array
            State variables in the order of ``self.state``.

        Returns
        -------
        outputs : list of (minibatch_size, n, ...) array
            Output and new state.
        """
        if len(self._steps) != len(u):
            raise SimulationError(
                "Processes are simulated before they were started; call `build_post` "
                "first"
            )
        rows = []
        for item, steps in enumerate(self._steps):
            inputs = _split(u[item], [op.input for op in self.ops])
            states = [
                _split(value[item], [op.state[name] for op in self.ops])
                for name, value in zip(self.state, state)
            ]
            values = [
                step(time, inputs[i], [value[i] for value in states])
                for i, step in enumerate(steps)
            ]
            rows.append([_join(v) for v in zip(*values)])
        return [np.stack(v) for v in zip(*rows)]


class ProcessStep:
    """
    The step function of one process for one item of the minibatch.

    Parameters
    ----------
    op : nengo.builder.processes.SimProcess
        The operator.
    dt : float
        Length of a simulation step in seconds.
    rng : numpy.random.RandomState
        Random number generator for the process.
    """

    def __init__(self, op, dt: float, rng):
        self.op = op
        self.state = {name: sig.initial_value.copy() for name, sig in op.state.items()}
        self._output = np.zeros(op.output.shape, op.output.dtype)
        self._step = op.process.make_step(
            op.input.shape, op.output.shape, dt, rng, self.state
        )

    def __call__(self, time: float, u, state) -> list[np.ndarray]:
        """Return the output and the new state, as arrays that nobody else has."""
        for own, value in zip(self.state.values(), state):
            own[...] = value
        try:
            # assigned as Nengo does, with the same errors for values that do not fit
            self._output[...] = self._step(time, u.astype(self.op.input.dtype))
        except Exception as err:
            note_origin(err, f"the step of {self.op.process} ({self.op.output.name})")
            raise
        return [self._output.copy(), *(value.copy() for value in self.state.values())]


def _split(value: np.ndarray, sigs) -> list[np.ndarray]:
    """Split the combined value of several signals."""
    parts = np.split(value, np.cumsum([n_rows(sig) for sig in sigs])[:-1])
    return [part.reshape(sig.shape) for part, sig in zip(parts, sigs)]


def _join(values) -> np.ndarray:
    """Put the values of several signals side by side."""
    return np.concatenate([np.atleast_1d(value) for value in values])
