"""
Native builders of Nengo's synapses.

Below, ``g`` is the number of operators in a group, and ``n`` the number of elements of
the signal that each of them filters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.synapses import LinearFilter

from nengo_dl.builder import BuildConfig
from nengo_dl.op_builders import are_better_alone, combined_length, write_mode
from nengo_dl.process_builders.base import ProcessBuilder
from nengo_dl.signals import SignalDict


class FilterBuilder(ProcessBuilder):
    """
    Base class of builders of processes whose output has the shape of their input.

    Attributes
    ----------
    input, output : TensorSignal
        Input and output of all processes side by side.
    state : dict of {str: TensorSignal}
        State variables of all processes side by side.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare input, output and state."""
        super().build_pre(signals, config)
        self.input = signals.combine([op.input for op in self.ops])
        self.output = signals.combine([op.output for op in self.ops])
        self.mode = write_mode(self.ops[0], self.ops[0].output)
        self.state = {
            name: signals.combine([op.state[name] for op in self.ops])
            for name in self.ops[0].state
        }

    def gather_input(self, signals: SignalDict) -> tf.Tensor:
        """Return the ``(minibatch_size or 1, g, n)`` input."""
        value = signals.gather(self.input)
        batch = signals.minibatch_size if self.input.minibatched else 1
        return tf.reshape(value, (batch, len(self.ops), -1))

    def gather_state(self, signals: SignalDict, name: str) -> tf.Tensor:
        """Return a state as a ``(minibatch_size, g, first axis of the state, n)``."""
        length = self.ops[0].state[name].shape[0]
        shape = (signals.minibatch_size, len(self.ops), length, -1)
        return tf.reshape(signals.gather(self.state[name]), shape)

    def scatter_output(self, signals: SignalDict, value: tf.Tensor) -> None:
        """Write the ``(minibatch_size or 1, g, n)`` output."""
        value = tf.reshape(value, (value.shape[0], *self.output.shape))
        signals.scatter(self.output, value, mode=self.mode)

    def scatter_state(self, signals: SignalDict, name: str, value: tf.Tensor) -> None:
        """Write a state."""
        value = tf.reshape(value, (value.shape[0], *self.state[name].shape))
        signals.scatter(self.state[name], value)


class LowpassBuilder(ProcessBuilder):
    r"""
    Build `nengo.Lowpass` synapses.

    .. math:: y_t = a y_{t-1} + b u_t

    where :math:`a` and :math:`b` are what Nengo makes of the time constant, such as
    :math:`a = e^{-dt / \tau}` and :math:`b = 1 - a`. The output is its own state; the
    state that Nengo keeps is the same and not needed. If :math:`\tau` is much shorter
    than ``dt`` (:math:`\tau \le 0.03 \, dt`), the output is the input.
    """

    @staticmethod
    def accepts(op: SimProcess) -> bool:
        """
        Return whether an operator can be built like this.

        The output cannot be the state if other operators add to it, and methods of
        discretization other than the default one make other filters.
        """
        process = op.process
        return op.mode != "inc" and process.analog and process.method == "zoh"

    @staticmethod
    def carried(op: SimProcess) -> list[Signal]:
        """Return the output if it is set: it is its own state."""
        return list(op.sets)

    @staticmethod
    def unused(op: SimProcess) -> list[Signal]:
        """Return the state, as the output is the same."""
        return list(op.state.values())

    @staticmethod
    def mergeable(x: SimProcess, y: SimProcess) -> bool:
        """Merge lowpass filters of any sizes and time constants."""
        return True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare input, output and coefficients."""
        super().build_pre(signals, config)
        inputs = [op.input for op in self.ops]
        outputs = [op.output for op in self.ops]
        known = {
            process: lowpass_coefficients(op, signals.dt_val)
            for process, op in {op.process: op for op in self.ops}.items()
        }
        coefficients = [known[op.process] for op in self.ops]
        lengths = [combined_length(op.output) for op in self.ops]
        shape = (-1, *(1,) * (outputs[0].ndim - 1))
        parts: list[slice] = [slice(None)]
        if are_better_alone(signals, inputs, outputs):
            parts = [slice(i, i + 1) for i in range(len(self.ops))]
        self.parts = [
            (
                signals.combine(inputs[part]),
                signals.combine(outputs[part]),
                *(
                    signals.op_constant(
                        coefficients[part], lengths[part], name, signals.dtype, shape
                    )
                    for name in ("a", "b")
                ),
            )
            for part in parts
        ]

    def build_step(self, signals: SignalDict) -> None:
        """Filter the input."""
        # (one of them may read what another one writes)
        filtered = [
            a * signals.gather(output) + b * signals.gather(input)
            for input, output, a, b in self.parts
        ]
        for (_, output, _, _), y in zip(self.parts, filtered):
            signals.scatter(output, y)


class LowpassCoefficients(NamedTuple):
    """
    The coefficients of ``y = a * y + b * u``.

    Parameters
    ----------
    a, b : float
    """

    a: float
    b: float


def lowpass_coefficients(op: SimProcess, dt: float) -> LowpassCoefficients:
    """Return the coefficients of a `nengo.Lowpass` operator."""
    if op.process.tau <= 0.03 * dt:
        return LowpassCoefficients(0.0, 1.0)
    step = linear_step(op, dt)
    return LowpassCoefficients(step.a, step.b)


def linear_step(op: SimProcess, dt: float) -> LinearFilter.Step:
    """
    Return Nengo's step of a linear filter, which holds the matrices of its system.

    Parameters
    ----------
    op : nengo.builder.processes.SimProcess
        An operator whose process is a `nengo.LinearFilter`.
    dt : float
        Length of a simulation step in seconds.
    """
    shape = op.output.shape
    state = {name: np.zeros(sig.shape) for name, sig in op.state.items()}
    return op.process.make_step(shape, shape, dt, None, state)


class LinearSystem(NamedTuple):
    r"""
    The systems of several linear filters, in discrete time.

    .. math:: y_t = C x_t + D u_t, \qquad x_{t+1} = A x_t + B u_t

    Parameters
    ----------
    A : (g, order, order) array
    B : (g, order) array
    C : (g, order) array
    D : (g,) array
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray


class LinearFilterBuilder(FilterBuilder):
    r"""
    Build `nengo.LinearFilter` synapses (also `nengo.Alpha` and others).

    With input :math:`u`, output :math:`y`, state :math:`x`, and the matrices that Nengo
    makes of the transfer function, there are four kinds of filters:

    ``NoX``
        No state: :math:`y_t = D u_t`.
    ``OneX``
        One state variable, which is the output: :math:`y_t = x_t = A x_{t-1} + BC u_t`.
    ``NoD``
        No immediate effect of the input:
        :math:`x_t = A x_{t-1} + B u_t, \; y_t = C x_t`. The input is one step ahead of
        the general case, which removes an unnecessary delay.
    ``General``
        :math:`y_t = C x_t + D u_t, \; x_{t+1} = A x_t + B u_t`.

    All of them are special cases of the last, with the matrices ``CA`` and ``CB`` in
    place of ``C`` and ``D`` for the first three.
    """

    @staticmethod
    def mergeable(x: SimProcess, y: SimProcess) -> bool:
        """Merge filters of one size with equal numbers of coefficients."""
        return ProcessBuilder.mergeable(x, y) and (
            x.process.num.shape == y.process.num.shape
            and x.process.den.shape == y.process.den.shape
        )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare input, output, state and matrices."""
        super().build_pre(signals, config)
        self.order = self.ops[0].state["X"].shape[0]
        steps = [linear_step(op, signals.dt_val) for op in self.ops]
        systems = [general_system(step) for step in steps]
        self.system = LinearSystem(
            *(
                tf.constant(np.stack(matrices), signals.dtype)
                for matrices in zip(*systems)
            )
        )

    def build_step(self, signals: SignalDict) -> None:
        """Filter the input."""
        A, B, C, D = self.system
        u = self.gather_input(signals)
        y = D[:, None] * u
        if self.order > 0:
            x = self.gather_state(signals, "X")
            y += tf.reduce_sum(C[:, :, None] * x, axis=2)
            x = multiply(A, x) + B[:, :, None] * u[:, :, None]
            self.scatter_state(signals, "X", x)
        self.scatter_output(signals, y)


def general_system(step: LinearFilter.Step) -> LinearSystem:
    """Return the system of a step of any kind, in the general form."""
    A, B, C, D = step.A, step.B.ravel(), step.C.ravel(), step.D.item()
    if isinstance(step, LinearFilter.OneX):
        # Nengo scales the state such that it is the output
        B, C = np.array([step.b]), np.ones(1)
    if isinstance(step, (LinearFilter.OneX, LinearFilter.NoD)):
        C, D = C @ A, C @ B
    return LinearSystem(A, B, C, np.array(D))


def multiply(A: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """
    Multiply ``g`` matrices with the state of ``g`` systems.

    Parameters
    ----------
    A : (g, order, order) tf.Tensor
        The matrices.
    x : (minibatch_size, g, order, n) tf.Tensor
        The states.
    """
    return tf.reduce_sum(A[..., None] * x[:, :, None], axis=3)


class TriangleBuilder(FilterBuilder):
    r"""
    Build `nengo.synapses.Triangle` synapses.

    With :math:`n` taps and coefficients :math:`c_k = (n - k) d` for
    :math:`k = 0, \ldots, n - 1` that add up to 1,

    .. math:: y_t = \sum_k c_k u_{t-k}

    As in Nengo, the state ``X`` is a ring buffer of the last :math:`n` inputs times
    :math:`d`, ``Xi`` the position of the newest of them, and ``Y`` the last output.
    Nengo adds the change of the output to ``Y`` in every step, and rounding errors with
    it; here the output is computed from the buffer.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare input, output, state and coefficients."""
        super().build_pre(signals, config)
        coefficients = [op.process._get_coefficients(signals.dt_val) for op in self.ops]
        self.n_taps = coefficients[0][0]
        self.first, self.difference = (
            tf.constant(np.array([c[i] for c in coefficients])[:, None], signals.dtype)
            for i in (1, 2)
        )

    def build_step(self, signals: SignalDict) -> None:
        """Filter the input."""
        u = self.gather_input(signals)
        x = self.gather_state(signals, "X")
        newest = self.gather_state(signals, "Xi")
        slots = tf.range(self.n_taps, dtype=x.dtype)[:, None]
        age = tf.math.floormod(newest - slots, self.n_taps)
        weights = self.n_taps - 1 - age
        y = self.first * u + tf.reduce_sum(weights * x, axis=2)
        newest = tf.math.floormod(newest + 1, self.n_taps)
        x = tf.where(slots == newest, (self.difference * u)[:, :, None], x)
        self.scatter_state(signals, "X", x)
        self.scatter_state(signals, "Xi", newest)
        self.scatter_state(signals, "Y", y)
        self.scatter_output(signals, y)
