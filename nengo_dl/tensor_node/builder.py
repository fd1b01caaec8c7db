"""
The builders of TensorNodes: of the node, and of its operator.

In: a `TensorNode`. Out: its operator, and the operations of its function or layer in
the step.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from nengo.builder import Model, Signal
from nengo.builder.operator import Reset

from nengo_dl.builder import BuildConfig, Builder, NengoBuilder, Work
from nengo_dl.op_builders import OverwritingBuilder
from nengo_dl.signals import SignalDict
from nengo_dl.tensor_node.calling import checked_call
from nengo_dl.tensor_node.node import TensorNode
from nengo_dl.tensor_node.operator import SimTensorNode

# On CPUs, XLA may need twice as long for a convolution as TensorFlow itself. From so
# many multiplications on, that is more than what cutting the step into segments costs.
MAX_XLA_PRODUCTS = 20_000_000


@NengoBuilder.register(TensorNode)
def build_tensor_node(model: Model, node: TensorNode) -> None:
    """
    Build a `.TensorNode` into a model.

    Parameters
    ----------
    model : nengo.builder.Model
        The model to build into.
    node : TensorNode
        The node to build.

    Notes
    -----
    Sets ``model.params[node]`` to None.
    """
    sig_in = None
    if node.shape_in:
        sig_in = Signal(shape=(node.size_in,), name=f"{node}.in")
        model.add_op(Reset(sig_in))
    sig_out = Signal(shape=(node.size_out,), name=f"{node}.out")
    model.add_op(
        SimTensorNode(
            node.tensor_func,
            model.time if node.pass_time else None,
            sig_in,
            sig_out,
            node.shape_in,
            tag=str(node),
        )
    )
    model.sig[node]["in"] = sig_in
    model.sig[node]["out"] = sig_out
    model.params[node] = None


@Builder.register(SimTensorNode)
class SimTensorNodeBuilder(OverwritingBuilder):
    """``output = func([t], [x])``; never merged."""

    # what XLA cannot compile may have a gradient all the same; `has_gradient` tells
    differentiable = True

    def __init__(self, ops: Sequence[SimTensorNode]):
        super().__init__(ops)
        self.op = ops[0]
        self.pure = self.op.traits.compiles
        self.adds_losses = self.op.traits.has_losses
        self._seed: int | None = None

    def runs_faster_in_xla(self, cpu_only: bool, minibatch_size: int) -> bool:
        """Say whether convolutions in the function are small, or run on a GPU."""
        n_products = minibatch_size * self.op.traits.work.n_convolved
        return not cpu_only or n_products <= MAX_XLA_PRODUCTS

    @staticmethod
    def timeless(op: SimTensorNode) -> bool:
        """Say whether it is a layer that could, which is known once it was tried."""
        return op.traits.timeless

    @staticmethod
    def hidden_work(op: SimTensorNode) -> Work:
        """Return what the layer computes with its weights."""
        return op.traits.work

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Choose a seed, the same one for all traces."""
        super().build_pre(signals, config)
        self._training = config.training
        if self._seed is None:
            self._seed = int(config.rng.randint(2**31 - 1))

    def build_step(self, signals: SignalDict) -> None:
        """Call the function."""
        op = self.op
        time = None if op.time is None else signals.gather(op.time)
        x = None
        if op.input is not None and op.shape_in is not None:
            x = signals.gather(op.input)
            x = tf.broadcast_to(x, (signals.minibatch_size, op.input.size))
            x = tf.reshape(x, (signals.minibatch_size, *op.shape_in))
        if not tf.executing_eagerly():
            # seeds random operations of TensorFlow that have no seed of their own
            tf.compat.v1.get_default_graph().seed = self._seed
        output, losses = checked_call(
            op, time, x, signals.minibatch_size, signals.dtype, self._training
        )
        shape = (signals.minibatch_size, op.output.size)
        signals.scatter(op.output, tf.reshape(output, shape))
        signals.losses.extend(tf.cast(loss, signals.dtype) for loss in losses)
