"""
Metrics of single probes.

In: a metric in any form that Keras accepts. Out: `ProbeMetric`, which is told of every
batch. Keras takes what ``"accuracy"`` means from the shape of the first targets; so do
we.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.execution.lengths import Lengths
from nengo_dl.losses import TimeReduction, nan_mse
from nengo_dl.losses.all_steps import nan_squared_errors
from nengo_dl.training.broadcasting import LENGTHS
from nengo_dl.training.compiling import instance, known, unusable
from nengo_dl.training.counting import counted_weights


class ProbeMetric:
    """
    A metric of one probe.

    Parameters
    ----------
    probe : str
        Name of the probe.
    metric : str or callable or keras.metrics.Metric or TimeReduction
        The metric as the user gave it.
    is_weighted : bool
        Whether sample weights apply.
    """

    def __init__(self, probe: str, metric: Any, is_weighted: bool):
        self.probe = probe
        self.is_weighted = is_weighted
        self.reduction = metric if isinstance(metric, TimeReduction) else None
        if self.reduction is not None:
            metric = self.reduction.loss
        self._given = metric
        self._takes: dict[str, bool] = {}
        self.metric: keras.metrics.Metric | None = None
        if not isinstance(metric, str) or metric not in SHAPE_DEPENDENT:
            self.metric = as_metric(probe, metric)
        own_name = metric if self.metric is None else self.metric.name
        if self.reduction is not None:
            own_name = self.reduction.name
        self.name = f"{probe}_{own_name}"

    def build(self, y_true: Any, y_pred: Any) -> keras.metrics.Metric:
        """Return the metric; the shapes of the first targets show which one it is."""
        if self.metric is None:
            with tf.init_scope():
                self.metric = shape_dependent_metric(self._given, y_true, y_pred)
        return self.metric

    def update(
        self,
        y_true: tf.Tensor | None,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
        lengths: Lengths | None = None,
    ) -> None:
        """Include a batch, of which all items count, or those that ``lengths`` says."""
        if self.reduction is not None:
            ends = None if lengths is None else lengths.n_steps
            sample_weight = self.reduction.reduce_weights(sample_weight, y_pred, ends)
            y_true, y_pred = self.reduction.reduce(y_true, y_pred, ends)
            lengths = None if lengths is None else lengths.of_items()
        if lengths is not None:
            weights = counted_weights(lengths, y_pred, sample_weight)
            if self.takes(y_true, y_pred, weights):
                sample_weight = weights
            else:
                only = lengths.only_items
                y_true = None if y_true is None else only(y_true)
                y_pred = only(y_pred)
                sample_weight = None if sample_weight is None else only(sample_weight)
        self.update_reduced(y_true, y_pred, sample_weight)

    def takes(self, y_true: Any, y_pred: Any, weights: Any) -> bool:
        """
        Return whether the metric weighs what it computes.

        What does accepts weights of one shape, and of no other. Metrics of functions
        that return one number for all items, say, accept none (or any, in old versions
        of Keras, with wrong results).

        Parameters
        ----------
        y_true, y_pred, weights : tensor or tf.TensorSpec
            Targets, outputs and weights.
        """
        has_steps = weights.shape.rank > 1

        def spec(value: Any, n_items: int = LENGTHS[0]) -> tf.TensorSpec | None:
            if value is None:
                return None
            shape = [n_items, *value.shape[1:]]
            if has_steps and len(shape) > 1 and shape[1] != 1:
                shape[1] = LENGTHS[1]
            return tf.TensorSpec(shape, value.dtype)

        specs = spec(y_true), spec(y_pred)
        key = str((*specs, spec(weights)))
        if key not in self._takes:
            # (functions that have been traced cannot make variables)
            self.build(y_true, y_pred)
            update = tf.function(self.update_reduced, autograph=False)

            def accepts(weights: tf.TensorSpec | None) -> bool:
                try:
                    update.get_concrete_function(*specs, weights)
                except (ValueError, TypeError):
                    return False
                return True

            others = spec(weights, n_items=LENGTHS[0] - 2)
            self._takes[key] = accepts(spec(weights)) and not accepts(others)
        return self._takes[key]

    def update_reduced(
        self,
        y_true: tf.Tensor | None,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Include a batch that has no more steps than the metric is about."""
        metric = self.build(y_true, y_pred)
        if y_true is not None:
            y_true = tf.cast(y_true, y_pred.dtype)
        metric.update_state(y_true, y_pred, sample_weight=sample_weight)


# What Keras calls by one name: for binary, sparse, and one-hot targets.
SHAPE_DEPENDENT = {
    "accuracy": (
        keras.metrics.BinaryAccuracy,
        keras.metrics.SparseCategoricalAccuracy,
        keras.metrics.CategoricalAccuracy,
    ),
    "crossentropy": (
        keras.metrics.BinaryCrossentropy,
        keras.metrics.SparseCategoricalCrossentropy,
        keras.metrics.CategoricalCrossentropy,
    ),
}
SHAPE_DEPENDENT["acc"] = SHAPE_DEPENDENT["accuracy"]
SHAPE_DEPENDENT["ce"] = SHAPE_DEPENDENT["crossentropy"]


def shape_dependent_metric(
    name: str, y_true: tf.Tensor, y_pred: tf.Tensor
) -> keras.metrics.Metric:
    """Return the metric that a name stands for, as Keras does."""
    binary, sparse, one_hot = SHAPE_DEPENDENT[name]
    n_classes = y_pred.shape[-1]
    if n_classes == 1:
        return binary(name=name)
    is_sparse = y_true.shape.rank < y_pred.shape.rank or y_true.shape[-1] == 1
    return (sparse if is_sparse else one_hot)(name=name)


def as_metric(probe: str, metric: Any) -> keras.metrics.Metric:
    """Return the metric that a name, function or object stands for."""
    if isinstance(metric, keras.metrics.Metric):
        return metric
    name = metric if isinstance(metric, str) else None
    if name is not None:
        metric = known(keras.metrics.get, metric, "metric", probe)
    if isinstance(metric, keras.metrics.Metric):
        config = {**metric.get_config(), "name": name}
        return type(metric).from_config(config)
    if isinstance(metric, type):
        return instance(metric, keras.metrics.Metric, "metric", probe)
    if not callable(metric):
        raise unusable(metric, "metric", probe)
    own_name = name or _name_of(metric)
    function = nan_squared_errors if metric is nan_mse else metric
    return keras.metrics.MeanMetricWrapper(function, name=own_name)


def _name_of(function: Any) -> str:
    """Return the name of a function or callable object, as Keras does."""
    for attribute in ("name", "__name__"):
        if isinstance(getattr(function, attribute, None), str):
            return getattr(function, attribute)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(function).__name__)
    return words.lower()


def number_names(metrics: Sequence[ProbeMetric], taken: Sequence[str]) -> None:
    """
    Number the names of results that are the same, as Keras does.

    Parameters
    ----------
    metrics : list of ProbeMetric
        The metrics, those to which sample weights apply last. The second ``mse`` of the
        Probe ``p`` is called ``p_mse_1``; ``p_weighted_mse``, if it is weighted.
    taken : sequence of str
        Names of other results.
    """
    used = set(taken)
    for metric in metrics:
        name = metric.name
        if name in used and metric.is_weighted:
            name = f"{metric.probe}_weighted_{name[len(metric.probe) + 1 :]}"
        numbers = itertools.count(1)
        metric.name = name
        while metric.name in used:
            metric.name = f"{name}_{next(numbers)}"
        used.add(metric.name)


def own_metric(probe: str, metric: Any, used: set[int]) -> Any:
    """
    Return a metric that is not used yet, as metrics have state.

    Parameters
    ----------
    probe : str
        Name of the probe.
    metric : str or callable or keras.metrics.Metric
        The metric as the user gave it. An object is the metric of the first probe that
        has it; others get copies.
    used : set of int
        Identities of the objects in use, to which this one is added.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no copying an object.
    """
    if isinstance(metric, TimeReduction):
        return metric.around(own_metric(probe, metric.loss, used))
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    if id(metric) not in used:
        used.add(id(metric))
        return metric
    try:
        return type(metric).from_config(metric.get_config())
    except (TypeError, ValueError) as err:
        raise ValidationError(
            f"The metric `{metric.name}` cannot be copied for probe '{probe}' ({err}); "
            "pass a dictionary with a metric object for each Probe",
            "metrics",
        ) from err
