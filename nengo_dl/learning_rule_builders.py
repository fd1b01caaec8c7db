"""
Builders of the operators of learning rules.

In: groups of merged operators. Out: TensorFlow operations that compute how much the
weights (or encoders) change in one simulation step. The change, ``delta``, is an update
of the operator; a `nengo.builder.operator.Copy` adds it to the weights in the next
step. Every item of a minibatch learns independently of the others.

Rules are built by Nengo's own functions. ``build_pes`` is here because NengoDL 3 had
one of its own, which others call.

In the formulas, ``a`` is the (filtered) activity of the presynaptic, and ``b`` of the
postsynaptic neurons, ``e`` the error, and ``κ`` the learning rate of the rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from nengo.builder.learning_rules import (
    SimBCM,
    SimOja,
    SimPES,
    SimRLS,
    SimVoja,
    build_pes,
)
from nengo.builder.operator import Operator

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.graph.operators import SimPESFactors
from nengo_dl.op_builders import OverwritingBuilder, stacked_matvec
from nengo_dl.signals import SignalDict

__all__ = [
    "LearningRuleBuilder",
    "SimBCM",
    "SimBCMBuilder",
    "SimOja",
    "SimOjaBuilder",
    "SimPES",
    "SimPESBuilder",
    "SimPESFactorsBuilder",
    "SimRLS",
    "SimRLSBuilder",
    "SimVoja",
    "SimVojaBuilder",
    "build_pes",
    "repeat_for_rows",
]


class LearningRuleBuilder(OverwritingBuilder):
    """
    Base class of the builders of learning rules.

    The ``delta`` of an operator has one row for each element of its second input (an
    error, or postsynaptic activities), and one column for each element of its first
    input (presynaptic activities). The rows of all operators are put one below the
    other.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Combine the signals that all rules have."""
        super().build_pre(signals, config)
        self.n_rows = [op.delta.shape[0] for op in self.ops]
        n_columns = self.ops[0].reads[0].size
        pre = signals.combine([op.reads[0] for op in self.ops])
        self.pre = pre.reshape((len(self.ops), n_columns))
        # the error of a decoded connection to neurons is a single number for all rows
        post = signals.combine(
            [
                signals[op.reads[1]][[0] * n if op.reads[1].size == 1 else ...]
                for op, n in zip(self.ops, self.n_rows)
            ]
        )
        self.post = post.reshape((sum(self.n_rows), 1))
        self.delta = signals.combine([op.delta for op in self.ops])

    def row_constant(self, signals: SignalDict, attr: str) -> tf.Tensor:
        """Return an attribute of the operators, to be multiplied with their rows."""
        return signals.op_constant(
            self.ops, self.n_rows, attr, signals.dtype, shape=(-1, 1)
        )

    @staticmethod
    def mergeable(x: Operator, y: Operator) -> bool:
        """Merge rules with equal numbers of presynaptic neurons (or dimensions)."""
        return x.reads[0].size == y.reads[0].size


def repeat_for_rows(value: tf.Tensor, n_rows: Sequence[int]) -> tf.Tensor:
    """
    Repeat what belongs to each operator for each of the rows of the operator.

    Parameters
    ----------
    value : ([minibatch_size,] g, n) tensor
        One row for each of ``g`` operators.
    n_rows : sequence of int
        How often each of them is needed.

    Returns
    -------
    rows : ([minibatch_size,] sum(n_rows), n) tensor
        A single row is not repeated, as broadcasting does that.
    """
    if len(n_rows) == 1:
        return value
    if len(set(n_rows)) == 1:
        return tf.repeat(value, n_rows[0], axis=-2)
    indices = np.repeat(np.arange(len(n_rows), dtype=np.int32), n_rows)
    return tf.gather(value, indices, axis=-2)


@Builder.register(SimPES)
class SimPESBuilder(LearningRuleBuilder):
    """
    Prescribed Error Sensitivity: ``delta = -κ dt / n · e aᵀ``.

    ``n`` is the number of presynaptic neurons.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Scale the learning rate."""
        super().build_pre(signals, config)
        n_neurons = self.pre.shape[1]
        self.alpha = self.row_constant(signals, "learning_rate") * (
            -signals.dt / n_neurons
        )

    def build_step(self, signals: SignalDict) -> None:
        """Compute the change."""
        pre = repeat_for_rows(signals.gather(self.pre), self.n_rows)
        error = signals.gather(self.post)
        signals.scatter(self.delta, self.alpha * error * pre)

    @staticmethod
    def mergeable(x: SimPES, y: SimPES) -> bool:
        """Merge rules with equal numbers of neurons, and equal sizes of the error."""
        return LearningRuleBuilder.mergeable(x, y) and x.error.size == y.error.size


@Builder.register(SimPESFactors)
class SimPESFactorsBuilder(OverwritingBuilder):
    """``rows = -κ dt / n · e``, ``columns = a``; see `SimPESBuilder`."""

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Combine signals, and scale the learning rates."""
        super().build_pre(signals, config)
        self.pre, self.error, self.rows, self.columns = (
            signals.combine(group)
            for group in zip(*(op.reads + op.updates for op in self.ops))
        )
        n_neurons = self.ops[0].reads[0].size
        self.alpha = signals.op_constant(
            self.ops,
            [op.reads[1].size for op in self.ops],
            "learning_rate",
            signals.dtype,
        ) * (-signals.dt / n_neurons)

    def build_step(self, signals: SignalDict) -> None:
        """Copy the activities, and scale the errors."""
        rows = self.alpha * signals.gather(self.error)
        signals.scatter(self.rows, rows)
        signals.scatter(self.columns, signals.gather(self.pre))

    @staticmethod
    def mergeable(x: SimPESFactors, y: SimPESFactors) -> bool:
        """Merge rules with equal numbers of presynaptic neurons."""
        return x.reads[0].size == y.reads[0].size


@Builder.register(SimBCM)
class SimBCMBuilder(LearningRuleBuilder):
    """
    Bienenstock-Cooper-Munroe: ``delta = κ dt · b (b - θ) aᵀ``.

    ``θ`` is the modification threshold, a filtered version of ``b``.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Scale the learning rate."""
        super().build_pre(signals, config)
        self.alpha = self.row_constant(signals, "learning_rate") * signals.dt
        theta = signals.combine([op.theta for op in self.ops])
        self.theta = theta.reshape(self.post.shape)

    def build_step(self, signals: SignalDict) -> None:
        """Compute the change."""
        pre = repeat_for_rows(signals.gather(self.pre), self.n_rows)
        post = signals.gather(self.post)
        theta = signals.gather(self.theta)
        signals.scatter(self.delta, self.alpha * post * (post - theta) * pre)


@Builder.register(SimOja)
class SimOjaBuilder(LearningRuleBuilder):
    """
    Oja: ``delta = κ dt (b aᵀ - β b² W)``, row by row of the weights ``W``.

    ``β`` is the forgetting rate.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Scale the learning rate."""
        super().build_pre(signals, config)
        self.alpha = self.row_constant(signals, "learning_rate") * signals.dt
        self.beta = self.row_constant(signals, "beta")
        self.weights = signals.combine([op.weights for op in self.ops])

    def build_step(self, signals: SignalDict) -> None:
        """Compute the change."""
        pre = repeat_for_rows(signals.gather(self.pre), self.n_rows)
        post = signals.gather(self.post)
        weights = signals.gather(self.weights)
        forgetting = self.beta * post * weights
        signals.scatter(self.delta, self.alpha * post * (pre - forgetting))


@Builder.register(SimVoja)
class SimVojaBuilder(LearningRuleBuilder):
    """
    Vector Oja: ``delta = κ dt l · b (s xᵀ - E)``, row by row of the encoders ``E``.

    ``x`` is the decoded input, ``l`` the learning signal, and ``s`` the factor by which
    the encoder of each neuron is scaled.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Scale the learning rate."""
        super().build_pre(signals, config)
        self.alpha = self.row_constant(signals, "learning_rate") * signals.dt
        self.scale = self.row_constant(signals, "scale")
        self.encoders = signals.combine([op.scaled_encoders for op in self.ops])
        learning = signals.combine([op.learning_signal for op in self.ops])
        self.learning = learning.reshape((len(self.ops), 1))

    def build_step(self, signals: SignalDict) -> None:
        """Compute the change."""
        x = repeat_for_rows(signals.gather(self.pre), self.n_rows)
        learning = repeat_for_rows(signals.gather(self.learning), self.n_rows)
        post = signals.gather(self.post)
        encoders = signals.gather(self.encoders)
        signals.scatter(
            self.delta, self.alpha * learning * post * (self.scale * x - encoders)
        )


@Builder.register(SimRLS)
class SimRLSBuilder(LearningRuleBuilder):
    """
    Recursive least squares, with a running estimate ``P`` of the inverse correlations.

    .. code-block:: text

       k = 1 / (1 + aᵀ P a)
       P = P - k (P a) (P a)ᵀ
       delta = -k e (P a)ᵀ

    where the ``P`` on the right is that of the previous step; it is symmetric.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Combine the estimates."""
        super().build_pre(signals, config)
        g, n = self.pre.shape
        inv_gamma = signals.combine([op.inv_gamma for op in self.ops])
        self.inv_gamma = inv_gamma.reshape((g, n, n))

    def build_step(self, signals: SignalDict) -> None:
        """Compute the change, and the next estimate."""
        pre = signals.gather(self.pre)
        P = signals.gather(self.inv_gamma)
        Pa = stacked_matvec(P, pre, self.inv_gamma.minibatched, self.pre.minibatched)
        k = 1 / (1 + tf.reduce_sum(pre * Pa, axis=-1, keepdims=True))
        error = signals.gather(self.post)
        signals.scatter(self.delta, -error * repeat_for_rows(k * Pa, self.n_rows))
        change = Pa[..., :, None] * (k * Pa)[..., None, :]
        signals.scatter(self.inv_gamma, P - change)
