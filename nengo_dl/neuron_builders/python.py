"""Neurons without a TensorFlow version: NumPy code, called in every step."""

from __future__ import annotations

import copy

import numpy as np
import tensorflow as tf
from nengo.exceptions import SimulationError

from nengo_dl.builder import OpBuilder
from nengo_dl.utils import note_origin, numpy_function


class GenericNeuronBuilder(OpBuilder):
    """
    Run neurons of any type by their NumPy ``step``, item by item of the minibatch.

    State variables are signals: they are handed to the function, and what it makes of
    them is handed back. Random number generators of the neurons are copied, so that
    simulations do not share them: the first item of the minibatch gets the numbers
    that Nengo would draw, the others get numbers of their own.
    """

    pure = False

    def __init__(self, ops):
        super().__init__(ops)
        self._rngs: list[list[dict]] = []

    def build_pre(self, signals, config) -> None:
        """Prepare input, output and state."""
        super().build_pre(signals, config)
        self.J_data = signals.combine([op.J for op in self.ops])
        self.output_data = signals.combine([op.output for op in self.ops])
        self.state_data = {
            name: signals.combine([op.state[name] for op in self.ops])
            for name in self.ops[0].state
        }

    def build_step(self, signals) -> None:
        """Call the neurons."""
        data = [self.J_data, *self.state_data.values()]
        inputs = []
        for sig in data:
            value = signals.gather(sig)
            if not sig.minibatched:
                value = tf.broadcast_to(
                    value[None], (signals.minibatch_size, *value.shape)
                )
            inputs.append(value)

        def step_neurons(J, *state):
            return self._step(signals.dt_val, J, state)

        targets = [self.output_data, *self.state_data.values()]
        outputs = numpy_function(
            step_neurons,
            inputs,
            [tf.as_dtype(sig.dtype) for sig in targets],
            errors=signals.errors,
        )
        for sig, value in zip(targets, outputs):
            value.set_shape((signals.minibatch_size, *sig.shape))
            signals.scatter(sig, value)

    def build_post(self, signals) -> None:
        """Restart the random number generators."""
        self._rngs = [
            [_item_rngs(op.state_extra, item) for op in self.ops]
            for item in range(signals.minibatch_size)
        ]

    def rngs(self) -> list:
        """Return the random number generators of all neurons."""
        return [r for item in self._rngs for own in item for r in own.values()]

    def _step(self, dt: float, J, state) -> list[np.ndarray]:
        """
        Run one step of all neurons.

        Parameters
        ----------
        dt : float
            Length of a step in seconds.
        J : (minibatch_size, n_neurons) array
            Input currents.
        state : sequence of (minibatch_size, n, ...) array
            State variables in the order of ``state_data``.

        Returns
        -------
        outputs : list of (minibatch_size, n, ...) array
            The output and the new state.
        """
        if len(self._rngs) != len(J):
            raise SimulationError(
                "Neurons are simulated before they were started; call `build_post` "
                "first"
            )
        # in the types that Nengo would use, whatever type the simulator has
        ops = self.ops
        output = np.zeros(J.shape, ops[0].output.dtype)
        J = J.astype(ops[0].J.dtype)
        state = {
            name: value.astype(sig.dtype)
            for (name, sig), value in zip(ops[0].state.items(), state)
        }
        for item in range(len(J)):
            starts = dict.fromkeys(("J", *state), 0)
            for op, rngs in zip(ops, self._rngs[item]):
                rows = {}
                for name, sig in (("J", op.J), *op.state.items()):
                    stop = starts[name] + sig.shape[0]
                    rows[name] = slice(starts[name], stop)
                    starts[name] = stop
                try:
                    op.neurons.step(
                        dt,
                        J[item, rows["J"]],
                        output[item, rows["J"]],
                        **{name: state[name][item, rows[name]] for name in state},
                        **rngs,
                    )
                except Exception as err:
                    note_origin(err, f"the step of {op.neurons} ({op.output.name})")
                    raise
        return [output, *state.values()]


def _item_rngs(rngs: dict, item: int) -> dict:
    """Return the random number generators of one item of the minibatch."""
    own = copy.deepcopy(rngs)
    if item == 0:
        return own
    return {
        name: np.random.RandomState(rng.randint(2**31 - 1, size=item)[-1])
        for name, rng in own.items()
    }
