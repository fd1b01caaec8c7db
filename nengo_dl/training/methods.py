"""
The methods of the simulator that work like those of a Keras model.

In: the data of the user. Out: what Keras returns, by the user's objects and names. What
the methods do is done by the `Trainer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import nengo
import numpy as np
from nengo.exceptions import SimulatorClosed

from nengo_dl.training.keras_model import SimulatorModel
from nengo_dl.training.predictions import Predictions
from nengo_dl.training.trainer import Trainer
from nengo_dl.utils import require_open, shortens_tracebacks


class KerasMethods:
    """
    Abstract base class of the simulator: `compile`, `fit`, `evaluate`, `predict`.

    Subclasses have the attributes below once the network has been compiled.
    """

    closed: bool | None
    _trainer: Trainer

    @property
    def keras_model(self) -> SimulatorModel:
        """
        The Keras model of the network, from Nodes to Probes.

        Raises
        ------
        nengo.exceptions.SimulatorClosed
            If the simulator is closed.
        """
        if self.closed:
            raise SimulatorClosed(
                "Cannot access Simulator.keras_model: the simulator is closed"
            )
        return self._trainer.keras_model

    @property
    def node_inputs(self) -> dict[nengo.Node, keras.KerasTensor]:
        """The inputs of `keras_model` by Node."""
        return self._trainer.node_inputs

    @require_open
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """
        Choose how to train, and what to report.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
            The optimizer.
        loss : str or callable or keras.losses.Loss or list or dict
            One loss for all Probes (of which those count that have targets), a list in
            the order of the Probes, or a dictionary by Probe (or name). The total loss
            is the weighted sum of the losses of those Probes that have one, and of the
            regularization losses of Keras layers.
        loss_weights : list or dict
            Weights of the losses, by default one.
        metrics : str or callable or keras.metrics.Metric or list or dict
            One metric for all Probes (that have targets), a list in the order of the
            Probes, or a dictionary by Probe (or name). Instead of one metric, elements
            of lists and dictionaries may be lists of metrics: several metrics of one
            Probe are ``{probe: ["accuracy", "mae"]}``.
        weighted_metrics : str or callable or keras.metrics.Metric or list or dict
            Metrics to which sample weights apply.
        kwargs
            Passed on to `keras.Model.compile`. With ``jit_compile=True`` or ``False``,
            XLA compiles whole batches of training or does not; by default it does so
            for more than one timestep, if it can compile the network, losses, and
            metrics.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with any of them; the simulator stays compiled
            as it was.
        """
        self._trainer.compile(
            optimizer, loss, loss_weights, metrics, weighted_metrics, **kwargs
        )

    @shortens_tracebacks
    @require_open
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: Any = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """
        Train the network.

        Parameters
        ----------
        x : dict or list or array, optional
            Outputs of Nodes without input, ``(n_items, n_steps, size_out)`` arrays, or
            ``(n_items, size_out)`` if they are held for ``n_steps``: a dictionary by
            Node (or name), a list in the order of the Nodes, or the array of the first
            one; what is missing is generated from the Nodes. Items of unequal lengths
            may be a `tf.RaggedTensor` or, in dictionaries, lists of arrays. Or a
            generator or data set that yields ``(x, y)`` or ``(x, y, sample_weight)``,
            where ``x`` contains all inputs by name or in order (and, in networks
            without any, ``"n_steps"``, of shape ``(n_items, 1)``).
        y : dict or list or array, optional
            Targets, in the same forms, by Probe; or one array for the only Probe that
            needs any.
        n_steps : int or (n_items,) array of int, optional
            Number of steps, or that of each item; by default that of ``x``. Every item
            weighs the same in losses and metrics, and what comes after its end does not
            count. (Data for validation have lengths of their own, in their inputs.)
        stateful : bool
            If True, every minibatch starts with the state at the end of the last one,
            and the state at the end of the last one is kept.
        kwargs
            Passed on to `keras.Model.fit`. ``sample_weight`` is one array for all
            Probes with a loss, or a dictionary by Probe: ``(n_items,)``, or the shape
            of what the loss returns, ``(n_items, n_steps)`` as a rule. ``shuffle`` may
            also be ``"length"``: batches are of items of similar lengths.

        Returns
        -------
        history : keras.callbacks.History
            ``history.history`` has a list of values, one for every epoch, by name:
            ``loss``, ``<probe>_loss``, ``<probe>_<metric>``; with ``val_`` in front for
            validation data.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        nengo.exceptions.SimulationError
            If the network cannot be trained, has not been compiled with a loss, or is
            being trained already.

        Notes
        -----
        Neurons that spike are trained through their rate versions. Learning rules are
        active, and what they learn is kept for every item of the minibatch.
        Parameters are what they were if an exception is raised.
        """
        return self._trainer.fit(x, y, n_steps, stateful, **kwargs)

    @shortens_tracebacks
    @require_open
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        n_steps: Any = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> dict[str, float]:
        """
        Compute losses and metrics, without training.

        Parameters
        ----------
        x, y, n_steps, stateful
            As in `fit`.
        kwargs
            Passed on to `keras.Model.evaluate`.

        Returns
        -------
        results : dict of {str: float}
            ``loss``, ``<probe>_loss``, ``<probe>_<metric>``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        nengo.exceptions.SimulationError
            If the simulator has not been compiled with a loss or metric.
        """
        return self._trainer.evaluate(x, y, n_steps, stateful, **kwargs)

    @shortens_tracebacks
    @require_open
    def predict(
        self,
        x: Any = None,
        n_steps: Any = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> Predictions:
        """
        Simulate any number of items, minibatch by minibatch.

        Parameters
        ----------
        x, n_steps, stateful
            As in `fit`.
        kwargs
            Passed on to `keras.Model.predict`.

        Returns
        -------
        outputs : dict of {nengo.Probe: (n_items, n_steps, ...) array}
            Values of all Probes in all steps, whatever their ``sample_every``; NaN
            after the end of items that have fewer steps than others. Nothing is added
            to ``sim.data``. ``outputs.lengths`` has the number of steps of every item.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data.
        """
        return self._trainer.predict(x, n_steps, stateful, **kwargs)

    @shortens_tracebacks
    @require_open
    def predict_on_batch(
        self,
        x: Any = None,
        n_steps: Any = None,
        stateful: bool = False,
        **kwargs: Any,
    ) -> Predictions:
        """
        Simulate exactly one minibatch; see `predict`.

        Parameters
        ----------
        x, n_steps, stateful
            As in `fit`, for ``minibatch_size`` items.
        kwargs
            Passed on to `keras.Model.predict_on_batch`.

        Returns
        -------
        outputs : dict of {nengo.Probe: (minibatch_size, n_steps, ...) array}
            As in `predict`.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with the data, such as another number of items.
        """
        return self._trainer.predict_on_batch(x, n_steps, stateful, **kwargs)

    @shortens_tracebacks
    @require_open
    def check_gradients(
        self,
        inputs: Sequence[np.ndarray] | None = None,
        outputs: Sequence[nengo.Probe] | None = None,
        atol: float = 1e-5,
        rtol: float = 1e-3,
    ) -> dict[nengo.Probe, dict[str, list[np.ndarray]]]:
        """
        Compare gradients of outputs with finite differences.

        Parameters
        ----------
        inputs : list of (minibatch_size, n_steps, size_out) array, optional
            Outputs of all Nodes, where gradients are computed; by default zeros for
            ``2 * unroll_simulation`` steps.
        outputs : list of nengo.Probe, optional
            The outputs; by default all Probes.
        atol, rtol : float
            Absolute and relative tolerance.

        Returns
        -------
        gradients : dict of {nengo.Probe: dict}
            ``"analytic"`` and ``"numeric"`` Jacobians with regard to every Node.

        Raises
        ------
        nengo.exceptions.SimulationError
            If gradients differ, or are NaN.
        nengo.exceptions.ValidationError
            If an output is not a Probe of this network, or an input is missing or has
            another shape.
        """
        return self._trainer.check_gradients(inputs, outputs, atol, rtol)
