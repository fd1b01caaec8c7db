"""
Names that other packages and users of NengoDL 3 rely on.

What is listed here is a contract: it stays where it is.
"""

import importlib

import pytest

# The modules of NengoDL 3, and what they are imported for. (The names of
# `graph_optimizer` are in `test_graph_optimizer`.)
MODULES = {
    "benchmarks": (
        "basal_ganglia",
        "cconv",
        "integrator",
        "lmu",
        "main",
        "mnist",
        "pes",
        "random_network",
        "run_profile",
        "spaun",
    ),
    "builder": ("BuildConfig", "Builder", "NengoBuilder", "NengoModel", "OpBuilder"),
    "callbacks": ("IsolateState", "NengoSummaries", "TensorBoard"),
    "config": ("configure_settings", "get_setting"),
    "converter": (
        "ConvertActivation",
        "ConvertAdd",
        "ConvertAverage",
        "ConvertAvgPool",
        "ConvertAvgPool1D",
        "ConvertAvgPool2D",
        "ConvertAvgPool3D",
        "ConvertBatchNormalization",
        "ConvertConcatenate",
        "ConvertConv",
        "ConvertConv1D",
        "ConvertConv2D",
        "ConvertConv3D",
        "ConvertDense",
        "ConvertFallback",
        "ConvertFlatten",
        "ConvertLeakyReLU",
        "ConvertModel",
        "ConvertReLU",
        "ConvertReshape",
        "ConvertSequential",
        "ConvertTimeDistributed",
        "ConvertUpSampling",
        "ConvertUpSampling1D",
        "ConvertUpSampling2D",
        "ConvertUpSampling3D",
        "ConvertZeroPadding1D",
        "ConvertZeroPadding2D",
        "ConvertZeroPadding3D",
        "Converter",
        "KerasTensorDict",
        "LayerConverter",
        "TrackedDict",
    ),
    "dists": ("Glorot", "He", "TruncatedNormal", "VarianceScaling"),
    "graph_optimizer": (),
    "learning_rule_builders": (
        "SimBCM",
        "SimBCMBuilder",
        "SimOja",
        "SimOjaBuilder",
        "SimPES",
        "SimPESBuilder",
        "SimVoja",
        "SimVojaBuilder",
        "build_pes",
    ),
    "losses": ("Regularize", "nan_mse"),
    "neuron_builders": (
        "GenericNeuronBuilder",
        "LIFBuilder",
        "LIFRateBuilder",
        "PoissonSpikingBuilder",
        "RectifiedLinearBuilder",
        "RegularSpikingBuilder",
        "SigmoidBuilder",
        "SimNeuronsBuilder",
        "SoftLIFRateBuilder",
        "SpikingRectifiedLinearBuilder",
        "StochasticSpikingBuilder",
        "TFNeuronBuilder",
        "TanhBuilder",
    ),
    "neurons": ("LeakyReLU", "SoftLIFRate", "SpikingLeakyReLU"),
    "op_builders": (
        "CopyBuilder",
        "DotIncBuilder",
        "DotSet",
        "ElementwiseIncBuilder",
        "ElementwiseSet",
        "ResetBuilder",
        "ResetInc",
        "SimProbeBuilder",
        "SimPyFuncBuilder",
        "SparseDotIncBuilder",
        "SparseDotSet",
        "TimeUpdateBuilder",
        "sparse_matmul",
    ),
    "process_builders": (
        "GenericProcessBuilder",
        "LinearFilterBuilder",
        "LowpassBuilder",
        "SimProcessBuilder",
    ),
    "signals": ("SignalDict", "TensorSignal"),
    "simulator": ("SimulationData", "Simulator"),
    "tensor_graph": ("TensorGraph",),
    "tensor_node": (
        "Layer",
        "SimTensorNode",
        "SimTensorNodeBuilder",
        "TensorFuncParam",
        "TensorNode",
        "build_tensor_node",
        "tensor_layer",
        "validate_output",
    ),
    "transform_builders": ("ConvIncBuilder", "ConvSet", "ConvTransposeSet"),
    "utils": (
        "MessageBar",
        "NullProgressBar",
        "ProgressBar",
        "SubProgressBar",
        "align_func",
        "function_name",
        "numpy_function",
        "sanitize_name",
        "tf_gpu_installed",
    ),
    "version": ("version",),
}

# Members of classes that others call, override, or read.
MEMBERS = {
    "builder.BuildConfig": (
        "cpu_only",
        "inference_only",
        "lif_smoothing",
        "rng",
        "training",
    ),
    "builder.Builder": (
        "build_post",
        "build_pre",
        "build_step",
        "builders",
        "name_scope",
        "register",
    ),
    "builder.NengoBuilder": ("build", "builders", "register"),
    "builder.NengoModel": ("add_op",),
    "builder.OpBuilder": ("build_post", "build_pre", "build_step", "mergeable"),
    "neuron_builders.SimNeuronsBuilder": ("TF_NEURON_IMPL",),
    "neuron_builders.TFNeuronBuilder": (
        "build_pre",
        "build_step",
        "spiking",
        "step",
        "training_step",
    ),
    "process_builders.SimProcessBuilder": ("TF_PROCESS_IMPL",),
    "signals.SignalDict": (
        "combine",
        "gather",
        "get_tensor_signal",
        "op_constant",
        "reset",
        "scatter",
    ),
    "signals.TensorSignal": (
        "full_shape",
        "minibatched",
        "ndim",
        "reset",
        "reshape",
        "slices",
        "tf_indices",
        "tf_indices_nd",
        "tf_shape",
        "tf_slice",
    ),
    "tensor_graph.TensorGraph": ("build_inputs", "build_post", "call", "get_tensor"),
}


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_their_names(module):
    namespace = importlib.import_module(f"nengo_dl.{module}")
    missing = [name for name in MODULES[module] if not hasattr(namespace, name)]
    assert missing == []


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_classes(name):
    module, _, cls = name.partition(".")
    members = getattr(importlib.import_module(f"nengo_dl.{module}"), cls)
    assert [name for name in MEMBERS[name] if not hasattr(members, name)] == []
