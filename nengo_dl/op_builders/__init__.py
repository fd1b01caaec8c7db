"""
Builders of Nengo's basic operators.

In: groups of merged operators. Out: TensorFlow operations of one simulation step.
"""

from nengo_dl.graph.operators import DotSet, ElementwiseSet, ResetInc, SparseDotSet
from nengo_dl.op_builders.base import (
    OverwritingBuilder,
    are_better_alone,
    combined_length,
    gather_batch,
    view_key,
    write_mode,
)
from nengo_dl.op_builders.basic import (
    CopyBuilder,
    FeedBuilder,
    ResetBuilder,
    SimProbeBuilder,
    TimeUpdateBuilder,
)
from nengo_dl.op_builders.itemwise import FollowingCall, ItemwiseCalls
from nengo_dl.op_builders.matvec import sparse_matmul, stacked_matvec
from nengo_dl.op_builders.numpy_step import GenericOperatorBuilder
from nengo_dl.op_builders.products import (
    DotIncBuilder,
    ElementwiseIncBuilder,
    SparseDotIncBuilder,
)
from nengo_dl.op_builders.python import SimPyFuncBuilder

__all__ = [
    "CopyBuilder",
    "DotIncBuilder",
    "DotSet",
    "ElementwiseIncBuilder",
    "ElementwiseSet",
    "FeedBuilder",
    "FollowingCall",
    "GenericOperatorBuilder",
    "ItemwiseCalls",
    "OverwritingBuilder",
    "ResetBuilder",
    "ResetInc",
    "SimProbeBuilder",
    "SimPyFuncBuilder",
    "SparseDotIncBuilder",
    "SparseDotSet",
    "TimeUpdateBuilder",
    "are_better_alone",
    "combined_length",
    "gather_batch",
    "sparse_matmul",
    "stacked_matvec",
    "view_key",
    "write_mode",
]
