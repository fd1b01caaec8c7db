"""
Callbacks for `nengo_dl.Simulator.fit`, ``evaluate``, and ``predict``.

In: what Keras says about the progress of training. Out: files for TensorBoard, and the
state of the simulator.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras
import nengo
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.utils import readable_name

if TYPE_CHECKING:
    from nengo_dl.simulator import Simulator

# What Keras tells callbacks: losses and metrics by name.
Logs = dict[str, Any] | None

# Number of bars of a histogram.
N_BINS = 30


class NengoSummaries(keras.callbacks.Callback):
    """
    Write histograms of parameters for TensorBoard after every epoch.

    The package ``tensorboard`` is needed to look at them, but not to write them.

    Parameters
    ----------
    log_dir : str or path-like
        Directory for the event file.
    sim : nengo_dl.Simulator
        The simulator that is trained.
    objects : list of nengo.Ensemble or nengo.ensemble.Neurons or nengo.Connection
        Which parameters to write: encoders of ensembles, biases of neurons, weights of
        connections.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an object has no such parameters.
    """

    def __init__(self, log_dir: str | os.PathLike, sim: Simulator, objects: Iterable):
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.sim = sim
        self.summaries = [self._summary(obj) for obj in objects]
        self._writer: Any = None

    def _summary(self, obj: Any) -> tuple[str, nengo.Ensemble | nengo.Connection, str]:
        """Return a tag, and the object and the attribute that it stands for."""
        if isinstance(obj, nengo.Ensemble):
            kind, owner, attr = "Ensemble", obj, "encoders"
        elif isinstance(obj, nengo.ensemble.Neurons):
            kind, owner, attr = "Ensemble.neurons", obj.ensemble, "bias"
        elif isinstance(obj, nengo.Connection):
            kind, owner, attr = "Connection", obj, "weights"
        else:
            raise ValidationError(
                f"Unknown summary object {obj} (a `{type(obj).__name__}`): pass "
                "Ensembles, Neurons, and Connections",
                attr="objects",
            )
        if getattr(self.sim.data.built(owner), attr) is None:
            raise ValidationError(
                f"{obj} does not have any {attr}; leave it out", attr="objects"
            )
        return readable_name(f"{kind}_{owner.label}_{attr}"), owner, attr

    def on_train_begin(self, logs: Logs = None) -> None:
        """Create the event file."""
        self._writer = tf.summary.create_file_writer(self.log_dir)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the histograms."""
        sources = [(obj, attr) for _, obj, attr in self.summaries]
        values = self.sim.data.get_params(*sources)
        with self._writer.as_default():
            for (tag, *_), value in zip(self.summaries, values):
                # `tf.summary.histogram` does the same, but only with `tensorboard`
                tf.summary.write(tag, histogram(value), step=epoch, metadata=METADATA)

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the event file."""
        self._writer.close()


# What TensorBoard reads as histograms.
METADATA = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="histograms"),
    data_class="DATA_CLASS_TENSOR",
)


def histogram(value: Any) -> np.ndarray:
    """
    Return the histogram of a parameter in TensorBoard's form.

    Parameters
    ----------
    value : array or sparse matrix
        The parameter.

    Returns
    -------
    bars : (n, 3) array
        Left edges, right edges, and counts; numbers that are not finite are left out.
    """
    numbers = np.ravel(value if isinstance(value, np.ndarray) else value.data)
    counts, edges = np.histogram(numbers[np.isfinite(numbers)], N_BINS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


class TensorBoard(keras.callbacks.TensorBoard):
    """
    Keras's callback, which also profiles ``predict``.

    Its parameters are those of `keras.callbacks.TensorBoard`. With
    ``profile_batch=2``, the second batch of a call is profiled.
    """

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Do what is done when training begins."""
        self.on_train_begin(logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Do what is done when a batch of training begins."""
        self.on_train_batch_begin(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Do what is done when a batch of training ends."""
        # the logs hold outputs, which Keras would take for losses
        self.on_train_batch_end(batch)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Do what is done when training ends."""
        self.on_train_end(logs)


class IsolateState(keras.callbacks.Callback):
    """
    Start every minibatch from the state that the simulator has now.

    With ``stateful=False`` that is so anyway. The callback does it where state is kept,
    such as in a Keras model around the network.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        The simulator. What is trained or learned is no part of its state.
    """

    def __init__(self, sim: Simulator):
        super().__init__()
        self.sim = sim
        self.n_steps = sim.n_steps
        values = sim.tensor_graph.values
        self.state = {
            key: values.state_tensor(key)
            for key in values.state
            if key not in values.base_params
        }

    def reset(self) -> None:
        """Return to the state that the simulator had when this was created."""
        self.sim.tensor_graph.values.assign(self.state)
        self.sim._simulation.n_steps = self.n_steps

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Return to the state at the start."""
        self.reset()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Return to the state at the start."""
        self.reset()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Return to the state at the start."""
        self.reset()
