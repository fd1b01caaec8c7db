"""
Functions and Keras layers as parts of a Nengo network.

In: TensorFlow functions and Keras layers. Out: `.TensorNode` and `.Layer` for users,
and the operator `SimTensorNode` with its builder, which runs them within the step.
"""

from nengo_dl.tensor_node.builder import SimTensorNodeBuilder, build_tensor_node
from nengo_dl.tensor_node.calling import validate_output
from nengo_dl.tensor_node.layer import Layer, tensor_layer
from nengo_dl.tensor_node.node import TensorFuncParam, TensorNode
from nengo_dl.tensor_node.operator import SimTensorNode
from nengo_dl.tensor_node.trial import has_gradient, prepare_layers

__all__ = [
    "Layer",
    "SimTensorNode",
    "SimTensorNodeBuilder",
    "TensorFuncParam",
    "TensorNode",
    "build_tensor_node",
    "has_gradient",
    "prepare_layers",
    "tensor_layer",
    "validate_output",
]
