"""
Losses and metrics of the probes.

In: what the user compiled, by the name of the probe. Out: the total loss of a batch,
and results by name (``loss``, ``<probe>_loss``, ``<probe>_<metric>``).

Keras's own bookkeeping wants a loss for every output, names the results of models with
one and with several losses differently, and keeps losses when a model is compiled
again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.losses import Regularize, TimeReduction, nan_mse
from nengo_dl.losses.all_steps import nan_squared_errors
from nengo_dl.training.broadcasting import broadcasts
from nengo_dl.training.compiling import instance, known, unusable
from nengo_dl.training.counting import Counted, has_steps, no_steps
from nengo_dl.training.loss_values import loss_values, reduced_loss
from nengo_dl.training.metrics import ProbeMetric, number_names, own_metric
from nengo_dl.training.targets import takes_labels
from nengo_dl.training.weights import check_weights_fit
from nengo_dl.utils import function_name


class Objectives:
    """
    Losses and metrics of the probes.

    Parameters
    ----------
    losses : dict of {str: loss}
        Loss by the name of the probe: a string, a function ``(y_true, y_pred)``, or a
        `keras.losses.Loss`.
    metrics : dict of {str: list}
        Metrics by the name of the probe: strings, functions, or
        `keras.metrics.Metric`.
    weights : dict of {str: float}
        Weights of the losses in the total loss, by default one.
    weighted_metrics : dict of {str: list}
        Metrics to which sample weights apply.
    shared : collection of str
        Which of ``"loss"``, ``"metrics"`` and ``"weighted_metrics"`` the user gave once
        for all probes: they are those of the probes that have targets.
    """

    def __init__(
        self,
        losses: Mapping[str, Any],
        metrics: Mapping[str, list],
        weights: Mapping[str, float],
        weighted_metrics: Mapping[str, list],
        shared: Collection[str] = (),
    ):
        self.losses = {name: as_loss(name, loss) for name, loss in losses.items()}
        self.weights = dict(weights)
        self._means = Means(["loss", *(f"{name}_loss" for name in self.losses)])
        parts = {
            "loss": losses,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._asked_for = {
            name for part in parts if part not in shared for name in parts[part]
        }
        used: set[int] = set()
        self._metrics = [
            ProbeMetric(name, own_metric(name, metric, used), is_weighted)
            for is_weighted, group in ((False, metrics), (True, weighted_metrics))
            for name, several in group.items()
            for metric in several
        ]
        number_names(self._metrics, taken=self._means.names)

    @property
    def names(self) -> set[str]:
        """The names of the probes that have a loss or a metric."""
        return {*self.losses, *(metric.probe for metric in self._metrics)}

    def needing_targets(self, given: Collection[str]) -> set[str]:
        """
        Return the names of the probes for which there have to be targets.

        Parameters
        ----------
        given : collection of str
            The probes that have targets.

        Returns
        -------
        names : set of str
            Those that the user has named; or all, if none of them has a target.
        """
        candidates = self._asked_for if self.names & set(given) else self.names
        return {name for name in candidates if not self._counts(name, ())}

    def counted(self, given: Collection[str]) -> set[str]:
        """Return the names of the probes whose losses and metrics are computed."""
        return {name for name in self.names if self._counts(name, given)}

    def _counts(self, name: str, given: Collection[str]) -> bool:
        return name in given or isinstance(self.losses.get(name), Regularize)

    @property
    def losses_with_targets(self) -> set[str]:
        """The names of the probes that have a loss which needs targets."""
        return {name for name in self.losses if not self._counts(name, ())}

    @property
    def weighted(self) -> set[str]:
        """The names of the probes for which sample weights make a difference."""
        metrics = {metric.probe for metric in self._metrics if metric.is_weighted}
        return {*self.losses, *metrics}

    @property
    def of_labels(self) -> set[str]:
        """The names of the probes whose targets are labels of classes."""
        return {
            name
            for name, loss in self.losses.items()
            if takes_labels(loss.loss if isinstance(loss, TimeReduction) else loss)
        }

    def check_lengths(
        self,
        lengths: np.ndarray,
        n_steps: int,
        y_true: Mapping[str, tf.TensorSpec],
        y_pred: Mapping[str, tf.TensorSpec],
    ) -> None:
        """
        Check that steps can be left out, and that something of every item counts.

        Parameters
        ----------
        lengths : (n_items,) array of int
            The numbers of steps of items.
        n_steps : int
            The number of steps of a batch.
        y_true, y_pred : dict of {str: tf.TensorSpec}
            Shapes of targets and outputs by the name of the probe.

        Raises
        ------
        nengo.exceptions.ValidationError
            If a loss or metric is about steps that an item does not have, or has no
            value for each step.
        """
        if (lengths != n_steps).any():
            for name in self.names & set(y_true):
                if y_pred[name].shape[1] != 1:
                    self._check_steps(name, y_true[name], y_pred[name])
        for name in self.names:
            for reduction in self._reductions(name):
                for length in np.unique(lengths):
                    reduction.check_steps(int(length))

    def _check_steps(
        self, name: str, target: tf.TensorSpec, output: tf.TensorSpec
    ) -> None:
        """Check that a loss and metrics have values for steps."""
        loss = self.losses.get(name)
        if loss is not None and not isinstance(loss, TimeReduction):
            function = tf.function(partial(loss_values, loss), autograph=False)
            values = function.get_concrete_function(target, output)
            if not has_steps(values.structured_outputs, output):
                raise no_steps(name, f"loss `{function_name(loss)}`")
        for metric in self._metrics:
            if metric.probe == name and metric.reduction is None:
                weights = tf.TensorSpec(output.shape[:2], output.dtype)
                if not metric.takes(target, output, weights):
                    raise no_steps(name, f"metric '{metric.name}'")

    def check_weights(
        self,
        weights: Mapping[str, tf.TensorSpec],
        y_true: Mapping[str, tf.TensorSpec],
        y_pred: Mapping[str, tf.TensorSpec],
    ) -> None:
        """
        Check that sample weights have the shape of what they are multiplied with.

        Parameters
        ----------
        weights, y_true, y_pred : dict of {str: tf.TensorSpec}
            Shapes of weights, targets and outputs by the name of the probe.

        Raises
        ------
        nengo.exceptions.ValidationError
            If they have not.
        """
        for name in set(weights) & set(y_true):
            shape, loss = y_true[name].shape[:-1], self.losses.get(name)
            reductions = self._reductions(name)
            if reductions and (loss is None or loss in reductions):
                shape = y_pred[name].shape[:2]
            elif loss is not None:
                values = partial(loss_values, loss)
                function = tf.function(values, autograph=False)
                specs = (y_true[name], y_pred[name])
                shape = function.get_concrete_function(*specs).output_shapes
            if shape.rank is not None:
                check_weights_fit(name, tuple(weights[name].shape), tuple(shape))

    def check_targets(
        self, y_true: Mapping[str, tf.TensorSpec], y_pred: Mapping[str, tf.TensorSpec]
    ) -> None:
        """
        Check that losses and metrics can compare targets with outputs.

        Targets may have another shape than the output, if the functions cope with it;
        but nothing is to be broadcast, see `broadcasts`.

        Parameters
        ----------
        y_true, y_pred : dict of {str: tf.TensorSpec}
            Shapes of targets and outputs by the name of the probe.

        Raises
        ------
        nengo.exceptions.ValidationError
            If they cannot.
        """
        compare = tf.function(self._compare, autograph=False)
        unbuilt = [metric for metric in self._metrics if metric.metric is None]
        for name in self.names & set(y_true):
            target, output = y_true[name], y_pred[name]
            if target.shape == output.shape and not self._reductions(name):
                self._build_metrics(name, target, output)
                continue
            try:
                self._build_metrics(name, target, output)
                compare.get_concrete_function(name, target, output)
                self._check_no_broadcasting(name, target, output)
            except ValueError as err:
                for metric in unbuilt:
                    metric.metric = None
                raise ValidationError(
                    f"Targets of shape {target.shape} cannot be compared with the "
                    f"output of '{name}', of shape {output.shape} (minibatch size, "
                    f"number of timesteps, size): {err}",
                    "y",
                ) from err

    def _check_no_broadcasting(
        self, name: str, target: tf.TensorSpec, output: tf.TensorSpec
    ) -> None:
        functions: list[tuple[Callable, TimeReduction | None]] = [
            (metric.update_reduced, metric.reduction)
            for metric in self._metrics
            if metric.probe == name
        ]
        if name in self.losses:
            loss = self.losses[name]
            reduction = loss if isinstance(loss, TimeReduction) else None
            loss = loss if reduction is None else reduction.loss
            functions.append((partial(reduced_loss, loss), reduction))
        if any(
            broadcasts(function, *reduced_specs(reduction, target, output))
            for function, reduction in functions
        ):
            raise ValueError(
                "the smaller one would be broadcast; pass targets of the shape of the "
                "output, or choose a loss and metrics for the shapes that there are"
            )

    def _build_metrics(
        self, name: str, target: tf.TensorSpec, output: tf.TensorSpec
    ) -> None:
        # (functions that have been traced cannot make variables)
        for metric in self._metrics:
            if metric.probe == name:
                metric.build(*reduced_specs(metric.reduction, target, output))

    def _reductions(self, name: str) -> list[TimeReduction]:
        """Return what reduces the steps of one probe."""
        metrics = [m.reduction for m in self._metrics if m.probe == name]
        return [
            one
            for one in (self.losses.get(name), *metrics)
            if isinstance(one, TimeReduction)
        ]

    def _compare(self, name: str, y_true: tf.Tensor, y_pred: tf.Tensor) -> None:
        """Apply the loss and the metrics of one probe."""
        if name in self.losses:
            reduced_loss(self.losses[name], y_true, y_pred)
        for metric in self._metrics:
            if metric.probe == name:
                metric.update(y_true, y_pred)

    def total_loss(
        self, batch: Counted, regularization: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """
        Return the loss of a batch, and include it in the results.

        Parameters
        ----------
        batch : Counted
            Targets, outputs, and weights.
        regularization : list of tensor
            Losses that do not depend on targets.

        Returns
        -------
        loss : scalar tensor
            The weighted sum of all losses.
        """
        values, terms = [], []
        for name, loss in self.losses.items():
            if not self._counts(name, batch.y_true):
                values.append(tf.zeros((), keras.config.floatx()))
                continue
            value = reduced_loss(
                loss,
                batch.y_true.get(name),
                batch.y_pred[name],
                batch.weights.get(name),
                batch.lengths,
            )
            value = tf.cast(value, keras.config.floatx())
            values.append(value)
            weight = self.weights.get(name, 1.0)
            terms.append(value if weight == 1 else weight * value)
        terms += [tf.cast(term, keras.config.floatx()) for term in regularization]
        total = tf.add_n(terms) if terms else tf.zeros((), keras.config.floatx())
        self._means.update_state([total, *values], batch.share)
        return total

    def update_metrics(self, batch: Counted) -> None:
        """Include a batch in the results of all metrics; see `total_loss`."""
        for metric in self._metrics:
            name = metric.probe
            if self._counts(name, batch.y_true):
                weight = batch.weights.get(name) if metric.is_weighted else None
                metric.update(
                    batch.y_true.get(name), batch.y_pred[name], weight, batch.lengths
                )

    def keras_metrics(self) -> list[keras.metrics.Metric]:
        """Return everything that has to be reset at the beginning of an epoch."""
        built = [m.metric for m in self._metrics if m.metric is not None]
        return [self._means, *built]

    def results(self, given: Collection[str] | None = None) -> dict[str, Any]:
        """
        Return the results by name: total loss, losses, metrics.

        Parameters
        ----------
        given : collection of str, optional
            The probes that have targets; others are left out. By default, all do.
        """
        counted = self.counted(self.names if given is None else given)
        left_out = {f"{name}_loss" for name in set(self.losses) - counted}
        means = self._means.result()
        results = {name: mean for name, mean in means.items() if name not in left_out}
        for metric in self._metrics:
            if metric.metric is not None and metric.probe in counted:
                results[metric.name] = metric.metric.result()
        return results


class Means(keras.metrics.Metric):
    """
    Means over the batches of an epoch.

    They have one variable, as every small operation counts in training.

    Parameters
    ----------
    names : list of str
        What the results are called.
    """

    def __init__(self, names: list[str]):
        super().__init__(name="means")
        self.names = names
        self.sums = self.add_variable((len(names),), "zeros", name="sums")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(
        self, values: list[tf.Tensor], share: tf.Tensor | None = None
    ) -> None:
        """Include one value for each name, of a part of a batch if a share is given."""
        stacked = tf.stack(values)
        if share is None:
            self.sums.assign_add(stacked)
            self.count.assign_add(1.0)
            return
        share = tf.cast(share, stacked.dtype)
        # (the mean over no items is not a number)
        self.sums.assign_add(tf.math.multiply_no_nan(stacked, share))
        self.count.assign_add(share)

    def result(self) -> dict[str, tf.Tensor]:
        """Return the means by name; zeros before the first batch."""
        means = tf.math.divide_no_nan(self.sums.value, self.count.value)
        return dict(zip(self.names, tf.unstack(means)))


def as_loss(probe: str, loss: Any) -> Callable:
    """Return a loss function, or a `keras.losses.Loss`."""
    if isinstance(loss, TimeReduction):
        return loss.around(as_loss(probe, loss.loss))
    if loss is nan_mse:
        # of which items and steps can be left out
        return nan_squared_errors
    if isinstance(loss, str):
        loss = known(keras.losses.get, loss, "loss", probe)
    if isinstance(loss, type):
        loss = instance(loss, keras.losses.Loss, "loss", probe)
    if not callable(loss) or isinstance(loss, keras.metrics.Metric):
        raise unusable(loss, "loss", probe)
    return loss


def reduced_specs(
    reduction: TimeReduction | None, target: tf.TensorSpec, output: tf.TensorSpec
) -> list[tf.TensorSpec]:
    """Return the shapes of targets and outputs without the steps that are reduced."""
    if reduction is None:
        return [target, output]
    reduce = tf.function(reduction.reduce, autograph=False)
    values = reduce.get_concrete_function(target, output).structured_outputs
    return [tf.TensorSpec(value.shape, value.dtype) for value in values]
