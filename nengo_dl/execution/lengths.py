"""
How many of the steps of a minibatch count for each of its items.

In: the parts of a batch that say so. Out: `Lengths`, by which the state of an item is
that of its own last step, and losses leave out the rest. An item that fills up a batch
has no steps that count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from nengo_dl.graph.program import Program

# By these names, batches say which items are more than padding, or (instead) how many
# of the steps of each item count: arrays of shape (batch size, 1).
IS_ITEM = "is_item"
LENGTHS = "lengths"


class Lengths(NamedTuple):
    """
    How many of the steps of a minibatch count for each of its items.

    Parameters
    ----------
    is_item : (minibatch_size,) tensor of bool
        Whether an item counts at all.
    n_steps : (minibatch_size,) tensor of int32 or None
        How many steps count, zero for items that do not; None if all steps of all items
        that count do.
    """

    is_item: tf.Tensor
    n_steps: tf.Tensor | None = None

    @staticmethod
    def of(x: Any) -> Lengths | None:
        """Return the lengths in the inputs of a batch; None if everything counts."""
        if not isinstance(x, Mapping):
            return None
        if LENGTHS in x:
            n_steps = tf.cast(x[LENGTHS][:, 0], tf.int32)
            return Lengths(n_steps > 0, n_steps)
        return Lengths(x[IS_ITEM][:, 0]) if IS_ITEM in x else None

    def n_items(self, dtype: Any) -> tf.Tensor:
        """Return the number of items that count."""
        return tf.reduce_sum(tf.cast(self.is_item, dtype))

    def share(self, dtype: Any) -> tf.Tensor:
        """Return the part of the items that count."""
        return tf.reduce_mean(tf.cast(self.is_item, dtype))

    def of_items(self) -> Lengths:
        """Return the lengths of values that have no steps."""
        return Lengths(self.is_item)

    def only_items(self, values: tf.Tensor) -> tf.Tensor:
        """Return the rows of the items that count (what all items share, as it is)."""
        if values.shape[0] == 1 != self.is_item.shape[0]:
            return values
        return tf.boolean_mask(values, self.is_item)

    def counts(self, n_steps: int | tf.Tensor) -> tf.Tensor:
        """Return which steps count, ``(minibatch_size, n_steps)``."""
        if self.n_steps is None:
            return tf.repeat(self.is_item[:, None], n_steps, axis=1)
        return tf.range(n_steps) < self.n_steps[:, None]

    def weights(self, n_steps: int | tf.Tensor, dtype: Any) -> tf.Tensor:
        r"""
        Return weights with which every item counts the same, whatever its length.

        .. math::

           w_{it} = \frac{n_\text{steps}}{n_i} \text{ if } t < n_i, \text{ else } 0

        Returns
        -------
        weights : (minibatch_size[, n_steps]) tensor
            Ones and zeros, without steps, if all or none of those of an item count.
        """
        if self.n_steps is None:
            return tf.cast(self.is_item, dtype)
        counts = tf.cast(self.counts(n_steps), dtype)
        lengths = tf.cast(self.n_steps, dtype)[:, None]
        return tf.math.divide_no_nan(counts * tf.cast(n_steps, dtype), lengths)

    def hold(self, values: tf.Tensor) -> tf.Tensor:
        """Return ``(minibatch_size, n_steps, ...)`` values that stay as they end."""
        if self.n_steps is None or values.shape[1] == 1:
            return values
        last = tf.maximum(self.n_steps, 1)[:, None] - 1
        times = tf.minimum(tf.range(tf.shape(values)[1]), last)
        return tf.gather(values, times, batch_dims=1)

    def up_to_date(
        self,
        program: Program,
        new: Sequence[tf.Tensor],
        old: Sequence[tf.Tensor],
        step: int | tf.Tensor | None = None,
    ) -> list[tf.Tensor]:
        """
        Return the state, where that of items stays which have come to their end.

        Parameters
        ----------
        program : Program
            The program whose ``carried`` arrays the state is. Those that all items
            share always become the new ones.
        new, old : list of tensor
            The state after and before a step, or after and before all of them.
        step : int or scalar tensor, optional
            The number of the step, from zero on; without, all steps are meant, and all
            of those of an item have to count.
        """
        arrays = [program.layout.arrays[key] for key in program.carried]
        return [
            self.choose(value, before, step) if array.minibatched else value
            for array, value, before in zip(arrays, new, old)
        ]

    def choose(
        self, new: tf.Tensor, old: tf.Tensor, step: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the rows of new values of the items for which a step counts."""
        counts = self.is_item
        if step is not None and self.n_steps is not None:
            counts = step < self.n_steps
        counts = tf.reshape(counts, (-1, *[1] * (new.shape.rank - 1)))
        return tf.where(counts, new, old)
