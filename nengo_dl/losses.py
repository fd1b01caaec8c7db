"""
Loss functions for networks over time.

In: targets and outputs of a probe, ``(batch_size, n_steps, ...)``. Out: losses for
`Simulator.compile <nengo_dl.Simulator>`; and, by `LastStep` and `TimeMean`, losses and
metrics of one value for each item.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.utils import function_name, is_integer


def nan_mse(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    r"""
    Return the mean squared error, without an error where the target is NaN.

    .. math:: \frac{1}{n} \sum_{i:\ y^*_i \neq \text{NaN}} (y_i - y^*_i)^2

    The mean is over all ``n`` elements, those without a target among them, so that
    losses of batches with few and with many targets can be compared.

    Parameters
    ----------
    y_true : (batch_size, n_steps, ...) tensor
        Targets; NaN where any output is right.
    y_pred : (batch_size, n_steps, ...) tensor
        Output of the probe.

    Returns
    -------
    error : scalar tensor
        The mean squared error.
    """
    return tf.reduce_mean(nan_squared_errors(y_true, y_pred))


def nan_squared_errors(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    r"""
    Return what `nan_mse` is the mean of.

    That is :math:`(y - y^*)^2`, and zero where the target :math:`y^*` is NaN.

    Parameters
    ----------
    y_true : (batch_size, n_steps, ...) tensor
        Targets; NaN where any output is right.
    y_pred : (batch_size, n_steps, ...) tensor
        Output of the probe.

    Returns
    -------
    errors : (batch_size, n_steps, ...) tensor
        One for each element of the output.
    """
    y_pred = tf.convert_to_tensor(y_pred)
    y_true = tf.cast(y_true, y_pred.dtype)
    # chosen before the subtraction: the gradient of a difference with NaN is NaN
    targets = tf.where(tf.math.is_nan(y_true), y_pred, y_true)
    return tf.square(y_pred - targets)


class Regularize(keras.losses.Loss):
    r"""
    The mean norm of the output, which needs no targets.

    .. math:: \frac{1}{n} \sum_{i=1}^n \|y_i\|_p

    Parameters
    ----------
    order : int or float or str
        The order ``p`` of the norm, as in `tf.norm`.
    axis : int, optional
        The axis of the probed signal along which norms are computed (``0`` is the
        first axis after batch and time). By default all of them, flattened.
    """

    def __init__(self, order: float | str = 2, axis: int | None = None):
        super().__init__(name="regularize")
        self.order = order
        self.axis = axis

    def __call__(
        self,
        y_true: tf.Tensor | None,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return the mean norm of ``y_pred``; ``y_true`` may be None."""
        norms = self.call(y_true, y_pred)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, norms.dtype)
            n_axes = norms.shape.rank - weights.shape.rank
            norms *= tf.reshape(weights, [*weights.shape, *[1] * n_axes])
        return tf.reduce_mean(norms)

    def call(self, y_true: tf.Tensor | None, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the norms."""
        y_pred = tf.convert_to_tensor(y_pred)
        if y_pred.shape.rank < 3:
            raise ValueError(
                "`Regularize` needs outputs of shape (batch_size, n_steps, ...), "
                f"received shape {tuple(y_pred.shape)}"
            )
        axis = 2 if self.axis is None else self.axis + 2
        if self.axis is None:
            shape = tf.shape(y_pred)
            y_pred = tf.reshape(y_pred, [shape[0], shape[1], -1])
        # the norm has no gradient at zero, where none is needed
        is_zero = tf.reduce_all(tf.equal(y_pred, 0), axis=axis, keepdims=True)
        norms = tf.norm(
            tf.where(is_zero, tf.ones_like(y_pred), y_pred), self.order, axis=axis
        )
        return tf.where(tf.squeeze(is_zero, axis), tf.zeros_like(norms), norms)

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"order": self.order, "axis": self.axis}


class TimeReduction(keras.losses.Loss):
    """
    Abstract base class of losses and metrics of one value for each item.

    Parameters
    ----------
    loss : str or callable or keras.losses.Loss or keras.metrics.Metric
        What compares the values, ``(batch_size, ...)``, with those of the targets: any
        loss of Keras or, in the lists of metrics of `Simulator.compile
        <nengo_dl.Simulator>`, any metric.
    name : str, optional
        What a metric is called in the results, after the name of the probe.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``loss`` is none of these.

    Notes
    -----
    Targets have one step, which is that of all steps, or as many as the output, and are
    reduced like the output. So are sample weights that have steps.
    """

    prefix = ""

    def __init__(self, loss: Any, name: str | None = None):
        if not (isinstance(loss, str) or callable(loss)):
            raise ValidationError(
                "must be the name of a loss or metric, a function `(y_true, y_pred)`, "
                f"or an object of Keras, received {loss!r}",
                "loss",
                self,
            )
        if isinstance(loss, (Regularize, TimeReduction)):
            raise ValidationError(
                "must be something that compares values without steps; "
                f"`{type(loss).__name__}` needs all steps; compile with it alone",
                "loss",
                self,
            )
        inner_name = loss if isinstance(loss, str) else getattr(loss, "name", None)
        if not isinstance(inner_name, str):
            inner_name = function_name(loss)
        is_loss = isinstance(loss, keras.losses.Loss)
        super().__init__(
            name=name or f"{self.prefix}_{inner_name}",
            reduction=loss.reduction if is_loss else "sum_over_batch_size",
        )
        self.loss = loss

    def around(self, loss: Any) -> TimeReduction:
        """Return the same for another loss or metric."""
        return type(self)(loss, **self._options())

    def reduce(
        self,
        y_true: tf.Tensor | None,
        y_pred: tf.Tensor,
        lengths: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor | None, tf.Tensor]:
        """
        Return the values that are compared.

        Parameters
        ----------
        y_true : (batch_size, 1, ...) or (batch_size, n_steps, ...) tensor or None
            Targets.
        y_pred : (batch_size, n_steps, ...) tensor
            Output.
        lengths : (batch_size,) tensor of int, optional
            How many of the steps count for each item; by default all of them.

        Returns
        -------
        y_true, y_pred : (batch_size, ...) tensor
            One value for each item, of the type of the output.

        Raises
        ------
        nengo.exceptions.ValidationError
            If they have other shapes, or no steps that count.
        """
        y_pred = tf.convert_to_tensor(y_pred)
        if y_pred.shape.rank is not None and y_pred.shape.rank < 3:
            raise ValidationError(
                f"`{type(self).__name__}` needs outputs of shape (batch_size, n_steps, "
                f"...), received shape {tuple(y_pred.shape)}",
                "y_pred",
            )
        self.check_steps(y_pred.shape[1])
        if y_true is not None:
            y_true = _with_steps("Targets", y_true, y_pred)
            has_labels = y_true.shape.rank < y_pred.shape.rank or (
                y_true.shape[-1] == 1 and y_pred.shape[-1] != 1
            )
            y_true = self._target_value(y_true, lengths, has_labels)
        return y_true, self._value(y_pred, lengths)

    def reduce_weights(
        self,
        weights: tf.Tensor | None,
        y_pred: tf.Tensor,
        lengths: tf.Tensor | None = None,
    ) -> tf.Tensor | None:
        """
        Return the weights of the values.

        Parameters
        ----------
        weights : (batch_size,) or (batch_size, n_steps, ...) tensor or None
            Sample weights.
        y_pred : (batch_size, n_steps, ...) tensor
            Output.
        lengths
            See `reduce`.
        """
        if weights is None or len(weights.shape) < 2:
            return weights
        return self._value(_with_steps("Sample weights", weights, y_pred), lengths)

    def __call__(
        self,
        y_true: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return the loss of a batch, as losses of Keras do."""
        y_pred = tf.convert_to_tensor(y_pred)
        if sample_weight is not None:
            sample_weight = tf.convert_to_tensor(sample_weight)
            sample_weight = self.reduce_weights(sample_weight, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return what the loss function returns for the values."""
        loss = keras.losses.get(self.loss)
        function = loss.call if isinstance(loss, keras.losses.Loss) else loss
        return function(*self.reduce(y_true, y_pred))

    def get_config(self) -> dict:
        """Return the arguments."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, **self._options()}

    @classmethod
    def from_config(cls, config: dict) -> TimeReduction:
        """Return what has these arguments."""
        loss = config["loss"]
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        return cls(**{**config, "loss": loss})

    def _options(self) -> dict[str, Any]:
        return {"name": self.name}

    def check_steps(self, n_steps: int | None) -> None:
        """
        Check that some of the steps of an item count.

        Parameters
        ----------
        n_steps : int or None
            The number of steps, if it is known.

        Raises
        ------
        nengo.exceptions.ValidationError
            If none of them does.
        """

    def _value(self, steps: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        """Return one value for each item."""
        raise NotImplementedError

    def _target_value(
        self, steps: tf.Tensor, lengths: tf.Tensor | None, has_labels: bool
    ) -> tf.Tensor:
        return self._value(steps, lengths)


@keras.saving.register_keras_serializable("nengo_dl")
class LastStep(TimeReduction):
    """
    A loss or metric of the last step (of each item, where they have unequal lengths).

    Parameters
    ----------
    loss : str or callable or keras.losses.Loss or keras.metrics.Metric
        What compares the output at the last step with the target; see `TimeReduction`.
    name : str, optional
        What a metric is called in the results, after the name of the probe. By default
        ``last_`` and the name of ``loss``.
    """

    prefix = "last"

    def _value(self, steps: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        return steps[:, -1] if lengths is None else _at(steps, lengths - 1)


@keras.saving.register_keras_serializable("nengo_dl")
class TimeMean(TimeReduction):
    r"""
    A loss or metric of the mean output over a window of time.

    .. math:: \text{loss}\left(\frac{1}{n} \sum_t y^*_t,\ \frac{1}{n} \sum_t y_t\right)

    Labels (targets of size one, where the output has another) have no mean: that of the
    last step of the window counts.

    Parameters
    ----------
    loss : str or callable or keras.losses.Loss or keras.metrics.Metric
        What compares the mean output with the mean target; see `TimeReduction`.
    start, stop : int, optional
        The first step of the window, and the one after the last, as in slices: negative
        numbers count from the end, and steps that there are not are left out. By
        default all steps.
    name : str, optional
        What a metric is called in the results, after the name of the probe. By default
        ``time_mean_`` and the name of ``loss``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are no steps in such a window.
    """

    prefix = "time_mean"

    def __init__(
        self,
        loss: Any,
        start: int | None = None,
        stop: int | None = None,
        name: str | None = None,
    ):
        super().__init__(loss, name=name)
        for attr, step in (("start", start), ("stop", stop)):
            if step is not None and not is_integer(step):
                raise ValidationError(
                    f"must be a number of steps, an integer or None, received {step!r}",
                    attr,
                    self,
                )
        self.start = None if start is None else int(start)
        self.stop = None if stop is None else int(stop)
        first, end = self.start or 0, self.stop
        if end == 0 or end is not None and (first < 0) == (end < 0) and first >= end:
            raise self._is_empty("any number of steps")

    def _is_empty(self, steps: str) -> ValidationError:
        return ValidationError(
            f"the window from step {self.start} to {self.stop} is empty for {steps}; "
            "change `start` or `stop`, which are used as in slices",
            "start",
            self,
        )

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "start": self.start, "stop": self.stop}

    def check_steps(self, n_steps: int | None) -> None:
        """Check that a window of so many steps is not empty."""
        if n_steps is not None and not range(n_steps)[self.start : self.stop]:
            raise self._is_empty(f"{n_steps} steps")

    def _value(self, steps: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        if lengths is None:
            return tf.reduce_mean(steps[:, self.start : self.stop], axis=1)
        start, stop = self._window(lengths)
        times = tf.range(tf.shape(steps)[1])
        is_inside = (times >= start[:, None]) & (times < stop[:, None])
        n_inside = tf.cast(stop - start, steps.dtype)
        for _ in range(steps.shape.rank - 2):
            is_inside, n_inside = is_inside[..., None], n_inside[..., None]
        # what comes after the end need not be a number
        inside = tf.where(is_inside, steps, tf.zeros_like(steps))
        return tf.math.divide_no_nan(tf.reduce_sum(inside, axis=1), n_inside)

    def _window(self, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the first steps of windows, and those after the last."""

        def place(step: int | None, default: tf.Tensor) -> tf.Tensor:
            if step is None:
                return default
            step = step if step >= 0 else lengths + step
            return tf.maximum(tf.minimum(step, lengths), 0)

        start = place(self.start, tf.zeros_like(lengths))
        return start, tf.maximum(start, place(self.stop, lengths))

    def _target_value(
        self, steps: tf.Tensor, lengths: tf.Tensor | None, has_labels: bool
    ) -> tf.Tensor:
        if has_labels and lengths is not None:
            return _at(steps, self._window(lengths)[1] - 1)
        window = steps[:, self.start : self.stop] if lengths is None else steps
        if has_labels:
            return window[:, -1]
        # exact where they are all the same, as metrics look for targets equal to one
        first = window[:, :1]
        return first[:, 0] + self._value(steps - first, lengths)


def _at(steps: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Return one step of each item, the first one where the index is negative."""
    return tf.gather(steps, tf.maximum(indices, 0), batch_dims=1)


def _with_steps(what: str, values: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """
    Return targets or weights with the steps of the output.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they have other steps.
    """
    values = tf.cast(values, y_pred.dtype)
    n_given, n_steps = values.shape[1], y_pred.shape[1]
    if None not in (n_given, n_steps) and n_given not in (1, n_steps):
        raise ValidationError(
            f"{what} for the last step or the mean over time must have one step, or "
            f"the {n_steps} of the output, received {n_given}",
            "y" if what == "Targets" else "sample_weight",
        )
    if n_given == n_steps and n_steps is not None:
        return values
    shape = tf.shape(values)
    return tf.broadcast_to(
        values, tf.concat([shape[:1], tf.shape(y_pred)[1:2], shape[2:]], axis=0)
    )
