"""
Builders of processes with input, such as the synapses of connections and probes.

In: groups of merged ``SimProcess`` operators. Out: TensorFlow operations of one step,
native ones for Nengo's synapses, calls of NumPy code for all other processes.

Processes without input never get here: what depends on time alone is fed in (see
`nengo_dl.program.feed_inputs`).

Below, ``g`` is the number of operators in a group, and ``n`` the number of elements of
the signal that each of them filters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from nengo import Lowpass, Triangle
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError
from nengo.synapses import LinearFilter

from nengo_dl.builder import Builder, OpBuilder
from nengo_dl.utils import note_origin, numpy_function

# The state space matrices of filters of up to this order are multiplied element by
# element, which becomes a part of the surrounding operations.
MAX_UNROLLED_ORDER = 4


class FilterBuilder(OpBuilder):
    """
    Base class of builders of processes whose output has the shape of their input.

    Attributes
    ----------
    input, output : TensorSignal
        Input and output of all processes side by side.
    state : dict of {str: TensorSignal}
        State variables of all processes side by side.
    """

    def build_pre(self, signals, config):
        """Prepare input, output and state."""
        super().build_pre(signals, config)
        self.input = signals.combine([op.input for op in self.ops])
        self.output = signals.combine([op.output for op in self.ops])
        self.mode = "inc" if self.ops[0].mode == "inc" else "update"
        self.state = {
            name: signals.combine([op.state[name] for op in self.ops])
            for name in self.ops[0].state
        }

    def gather_input(self, signals) -> tf.Tensor:
        """Return the ``(minibatch_size or 1, g, n)`` input."""
        value = signals.gather(self.input)
        batch = signals.minibatch_size if self.input.minibatched else 1
        return tf.reshape(value, (batch, len(self.ops), -1))

    def gather_state(self, signals, name: str) -> tf.Tensor:
        """Return a state as a ``(minibatch_size, g, first axis of the state, n)``."""
        length = self.ops[0].state[name].shape[0]
        shape = (signals.minibatch_size, len(self.ops), length, -1)
        return tf.reshape(signals.gather(self.state[name]), shape)

    def scatter_output(self, signals, value: tf.Tensor) -> None:
        """Write the ``(minibatch_size or 1, g, n)`` output."""
        value = tf.reshape(value, (value.shape[0], *self.output.shape))
        signals.scatter(self.output, value, mode=self.mode)

    def scatter_state(self, signals, name: str, value: tf.Tensor) -> None:
        """Write a state."""
        value = tf.reshape(value, (value.shape[0], *self.state[name].shape))
        signals.scatter(self.state[name], value)


class LowpassBuilder(OpBuilder):
    r"""
    Build `nengo.Lowpass` synapses.

    .. math:: y_t = a y_{t-1} + b u_t

    where :math:`a` and :math:`b` are what Nengo makes of the time constant, such as
    :math:`a = e^{-dt / \tau}` and :math:`b = 1 - a`. The output is its own state; the
    state that Nengo keeps is the same and not needed. If :math:`\tau` is much shorter
    than ``dt`` (:math:`\tau \le 0.03 \, dt`), the output is the input.
    """

    @staticmethod
    def accepts(op) -> bool:
        """
        Return whether an operator can be built like this.

        The output cannot be the state if other operators add to it, and methods of
        discretization other than the default one make other filters.
        """
        process = op.process
        return op.mode != "inc" and process.analog and process.method == "zoh"

    def build_pre(self, signals, config):
        """Prepare input, output and coefficients."""
        super().build_pre(signals, config)
        self.input = signals.combine([op.input for op in self.ops])
        self.output = signals.combine([op.output for op in self.ops])
        coefficients = [lowpass_coefficients(op, signals.dt_val) for op in self.ops]
        n_rows = [_n_rows(op.output) for op in self.ops]
        shape = (-1, *(1,) * (self.output.ndim - 1))
        self.a, self.b = (
            signals.op_constant(coefficients, n_rows, name, signals.dtype, shape)
            for name in ("a", "b")
        )

    def build_step(self, signals):
        """Filter the input."""
        u = signals.gather(self.input)
        y = self.a * signals.gather(self.output) + self.b * u
        signals.scatter(self.output, y)


class LowpassCoefficients(NamedTuple):
    """
    The coefficients of ``y = a * y + b * u``.

    Parameters
    ----------
    a, b : float
    """

    a: float
    b: float


def lowpass_coefficients(op, dt: float) -> LowpassCoefficients:
    """Return the coefficients of a `nengo.Lowpass` operator."""
    if op.process.tau <= 0.03 * dt:
        return LowpassCoefficients(0.0, 1.0)
    step = linear_step(op, dt)
    return LowpassCoefficients(step.a, step.b)


def linear_step(op, dt: float) -> LinearFilter.Step:
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
    place of ``C`` and ``D`` for the first three. Filters of one order are merged.
    """

    def build_pre(self, signals, config):
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

    def build_step(self, signals):
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
    if A.shape[-1] > MAX_UNROLLED_ORDER:
        return tf.matmul(A, x)
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

    def build_pre(self, signals, config):
        """Prepare input, output, state and coefficients."""
        super().build_pre(signals, config)
        coefficients = [op.process._get_coefficients(signals.dt_val) for op in self.ops]
        self.n_taps = coefficients[0][0]
        self.first, self.difference = (
            tf.constant(np.array([c[i] for c in coefficients])[:, None], signals.dtype)
            for i in (1, 2)
        )

    def build_step(self, signals):
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

    def build_pre(self, signals, config):
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

    def build_step(self, signals):
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

    def build_post(self, signals):
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


def _n_rows(sig) -> int:
    """Return the length of the first axis of a signal where signals are combined."""
    return sig.shape[0] if sig.ndim else 1


def _split(value: np.ndarray, sigs) -> list[np.ndarray]:
    """Split the combined value of several signals."""
    parts = np.split(value, np.cumsum([_n_rows(sig) for sig in sigs])[:-1])
    return [part.reshape(sig.shape) for part, sig in zip(parts, sigs)]


def _join(values) -> np.ndarray:
    """Put the values of several signals side by side."""
    return np.concatenate([np.atleast_1d(value) for value in values])


@Builder.register(SimProcess)
class SimProcessBuilder(OpBuilder):
    """
    Build processes by the builder of their type.

    Parameters
    ----------
    ops : list of nengo.builder.processes.SimProcess
        The merged operators; the processes have builders of one type.

    Attributes
    ----------
    TF_PROCESS_IMPL : dict of {type: type}
        Class attribute: builder classes of process types. The first type counts of
        which a process is an instance without changing its maths.
    built_process : OpBuilder
        The builder that does the work.
    """

    TF_PROCESS_IMPL: dict[type, type[OpBuilder]] = {
        Lowpass: LowpassBuilder,
        LinearFilter: LinearFilterBuilder,
        Triangle: TriangleBuilder,
    }

    # What a subclass must inherit to be built as its parent.
    MATHS = ("make_step", "make_state", "_get_ss", "_get_coefficients")

    def __init__(self, ops):
        super().__init__(ops)
        self.built_process = self.builder_class(ops[0])(ops)
        self.pure = self.built_process.pure

    @classmethod
    def builder_class(cls, op) -> type[OpBuilder]:
        """Return the builder class for the process of an operator."""
        for process_type, builder in cls.TF_PROCESS_IMPL.items():
            if isinstance(op.process, process_type) and all(
                _inherits(op.process, process_type, name) for name in cls.MATHS
            ):
                if issubclass(builder, LowpassBuilder) and not builder.accepts(op):
                    continue  # goes on to `LinearFilter`
                return builder
        return GenericProcessBuilder

    def build_pre(self, signals, config):
        """Prepare the step."""
        super().build_pre(signals, config)
        self.built_process.build_pre(signals, config)

    def build_step(self, signals):
        """Add the operations of one step."""
        return self.built_process.build_step(signals)

    def build_post(self, signals):
        """Restart the processes."""
        self.built_process.build_post(signals)

    @staticmethod
    def carried(op) -> list:
        """Return the output if it is its own state."""
        builder = SimProcessBuilder.builder_class(op)
        return list(op.sets) if issubclass(builder, LowpassBuilder) else []

    @staticmethod
    def mergeable(x, y) -> bool:
        """
        Merge processes of one kind and mode.

        Lowpass filters merge with each other, other linear filters if their transfer
        functions have equal numbers of coefficients, triangles of equal lengths, and
        processes that Python runs with each other.
        """
        builder = SimProcessBuilder.builder_class(x)
        if x.mode != y.mode or builder is not SimProcessBuilder.builder_class(y):
            return False
        if issubclass(builder, LowpassBuilder):
            return True
        if list(x.state) != list(y.state):
            return False
        if issubclass(builder, GenericProcessBuilder):
            return True
        if issubclass(builder, LinearFilterBuilder) and (
            x.process.num.shape != y.process.num.shape
            or x.process.den.shape != y.process.den.shape
        ):
            return False
        return [s.shape for s in x.all_signals] == [s.shape for s in y.all_signals]


def _inherits(obj, parent: type, name: str) -> bool:
    """Return whether a method of an object is that of a parent class."""
    if name in vars(obj):
        return False
    return getattr(type(obj), name, None) is getattr(parent, name, None)
