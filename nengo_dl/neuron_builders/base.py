"""
What all builders of neurons have in common.

In: a group of merged ``SimNeurons`` operators. Out: the TensorFlow operations of one
step of these neurons. A neuron type is added by a subclass of `TFNeuronBuilder` that
has a ``step`` method, and an entry in ``SimNeuronsBuilder.TF_NEURON_IMPL``.

``J`` is the input current of the neurons, ``dt`` the length of a step in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal

from nengo_dl.builder import BuildConfig, OpBuilder
from nengo_dl.op_builders import gather_batch
from nengo_dl.signals import SignalDict


class NeuronBuilder(OpBuilder):
    """
    Base class of builders of neurons.

    `.SimNeuronsBuilder` asks them what it would have to answer itself as the builder of
    the operator: ``carried``, ``unused`` and ``mergeable``.
    """

    @staticmethod
    def carried(op: SimNeurons) -> list[Signal]:
        """Return the state of the neurons."""
        return list(op.state.values())

    @staticmethod
    def mergeable(x: SimNeurons, y: SimNeurons) -> bool:
        """
        Merge neurons of one type, unless they are trained with noise.

        Builders, also those of other packages, look for ``nengo_dl_noise`` (see
        `nengo_dl.loihi`) in their first operator only.
        """
        return not any(
            getattr(op.neurons, "nengo_dl_noise", None) is not None for op in (x, y)
        )


class _Parameter(NamedTuple):
    value: Any


class TFNeuronBuilder(NeuronBuilder):
    """
    Base class of builders of neurons that TensorFlow runs natively.

    While a network is trained, neurons take part in one of two ways:

    - by `step`, as in any simulation, through which gradients flow;
    - by their rate version, `training_step`, if the class is marked as ``spiking``:
      spikes have no gradient.

    Spiking neurons whose ``step`` does have a gradient, such as a surrogate of the one
    of the threshold, set ``trained_by_step`` (and see `.LIFBuilder.spikes`).

    Parameters
    ----------
    ops : list of nengo.builder.neurons.SimNeurons
        The merged operators; the neurons are of one type.

    Attributes
    ----------
    spiking : bool
        Class attribute. If True, neurons are trained by their rate version:
        `training_step` takes the place of `step` while the network is trained, and the
        state of the neurons stays as it is.
    trained_by_step : bool
        Class attribute. If True, `step` runs in training too, although the neurons are
        ``spiking``. Makes no difference to others.
    amplitude : tf.Tensor or None
        Scaling factor on the output; None if it is 1 for all neurons.
    alpha : tf.Tensor
        Output of a neuron that spikes once in a step, ``amplitude / dt``.
    J_data, output_data : TensorSignal
        Input and output of all neurons side by side.
    state_data : dict of {str: TensorSignal}
        State variables of all neurons side by side.

    Notes
    -----
    Attributes are set by ``build_pre``. Parameters that differ between operators become
    ``(1, n)`` constants, for ``n`` neurons; others become scalars.
    """

    config: BuildConfig
    spiking = False
    trained_by_step = False

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare parameters, input, output and state."""
        super().build_pre(signals, config)
        self.J_data = signals.combine([op.J for op in self.ops])
        self.output_data = signals.combine([op.output for op in self.ops])
        self.state_data = {
            name: signals.combine([op.state[name] for op in self.ops])
            for name in self.ops[0].state
        }
        self.amplitude, amplitude = None, 1.0
        if any(getattr(op.neurons, "amplitude", 1) != 1 for op in self.ops):
            self.amplitude = self.parameter(signals, "amplitude")
            amplitude = self.parameter(signals, "amplitude", tf.float64)
        # in double precision, because 1 / dt is a round number but dt is not
        self.alpha = tf.cast(amplitude / signals.dt_val, signals.dtype)

    def parameter(
        self,
        signals: SignalDict,
        name: str,
        dtype: tf.DType | None = None,
        if_none: float | None = None,
    ) -> tf.Tensor:
        """
        Return a parameter of the neurons as a constant.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        name : str
            Name of the parameter.
        dtype : tf.DType, optional
            Type of the constant, by default that of the simulation.
        if_none : float, optional
            What takes the place of None, for parameters that may be None.

        Returns
        -------
        parameter : tf.Tensor
            ``(1, n_neurons)`` if it differs between operators, else a scalar.
        """
        values = [getattr(op.neurons, name) for op in self.ops]
        return signals.op_constant(
            [_Parameter(if_none if value is None else value) for value in values],
            [op.J.shape[0] for op in self.ops],
            "value",
            signals.dtype if dtype is None else dtype,
        )

    def scaled(self, output: tf.Tensor) -> tf.Tensor:
        """Multiply an output with the amplitude of the neurons."""
        return output if self.amplitude is None else self.amplitude * output

    def step(self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor) -> Any:
        """
        Compute one step of the neurons.

        Parameters
        ----------
        J : (minibatch_size, n_neurons) tf.Tensor
            Input currents.
        dt : scalar tf.Tensor
            Length of a step in seconds.
        **state : (minibatch_size, n_neurons) tf.Tensor
            State variables of the neuron type, by name.

        Returns
        -------
        output : (minibatch_size, n_neurons) tf.Tensor
            Spikes or rates. If there are state variables, a tuple: the output and
            their new values, in the order of ``state``.
        """
        raise NotImplementedError(f"`{type(self).__name__}` must implement `step`")

    def training_step(
        self, J: tf.Tensor, dt: tf.Tensor, **state: tf.Tensor
    ) -> tf.Tensor:
        """
        Compute a differentiable output in place of spikes.

        Parameters
        ----------
        J, dt, **state
            As for `step`.

        Returns
        -------
        output : (minibatch_size, n_neurons) tf.Tensor
            The output alone, as the state does not change.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` is marked as spiking, so it must implement "
            "`training_step`"
        )

    def build_step(self, signals: SignalDict, **step_kwargs: Any) -> None:
        """
        Add the operations of one step.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        **step_kwargs
            Further arguments of the ``step`` and ``training_step`` methods.

        Raises
        ------
        ValueError
            If ``step`` does not return the output and the value of every state.
        """
        J = gather_batch(signals, self.J_data)
        state = {name: signals.gather(sig) for name, sig in self.state_data.items()}
        # the spiking version is not even built in training: its gradients may be NaN
        if self.config.training and self.spiking and not self.trained_by_step:
            output = self.training_step(J, signals.dt, **state, **step_kwargs)
            signals.scatter(self.output_data, output)
            return
        output = self.step(J, signals.dt, **state, **step_kwargs)
        output, *new_state = self._checked(output)
        signals.scatter(self.output_data, output)
        for sig, value in zip(self.state_data.values(), new_state):
            signals.scatter(sig, value)

    def _checked(self, output: Any) -> Sequence[tf.Tensor]:
        """Return what ``step`` returned as a sequence of the right length."""
        if not self.state_data and not isinstance(output, (tuple, list)):
            return (output,)
        n_values = 1 + len(self.state_data)
        if not isinstance(output, (tuple, list)) or len(output) != n_values:
            received = len(output) if isinstance(output, (tuple, list)) else "no tuple"
            raise ValueError(
                f"`{type(self).__name__}.step` must return a tuple with the neuron "
                f"output and the new value of every state variable "
                f"({', '.join(self.state_data)}); expected {n_values} values, "
                f"received: {received}"
            )
        return output
