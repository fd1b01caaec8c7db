"""
An example of every layer of Keras, and what the converter makes of it.

Run this file to write the table in the documentation anew.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import keras
import numpy as np

from nengo_dl.converter import Converter
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import KerasGraph
from nengo_dl.converter.planning import plan

L = keras.layers

PAGE = Path(__file__).parents[2] / "docs" / "converter.rst"
BEGIN, END = ".. The table of layers begins.", ".. The table of layers ends."

# Classes that are no layers of a model of their own, or need what is not installed.
LEFT_OUT = {
    "FlaxLayer": "needs Flax",
    "InputLayer": "becomes a Node",
    "JaxLayer": "needs JAX",
    "Layer": "a base class",
    "MaxNumBoundingBoxes": "works on labels, not on tensors",
    "Pipeline": "a list of other layers, for preprocessing",
    "TFSMLayer": "needs a file",
    "TorchModuleWrapper": "needs PyTorch",
    "Wrapper": "a base class",
}

VECTOR, SERIES, IMAGE, VIDEO = (6,), (4, 3), (6, 6, 3), (4, 4, 4, 2)

# Arguments of the layers that have no defaults, and shapes of their inputs.
ARGUMENTS = {
    "Activation": ["relu"],
    "AdaptiveAveragePooling1D": [2],
    "AdaptiveAveragePooling2D": [2],
    "AdaptiveAveragePooling3D": [2],
    "AdaptiveMaxPooling1D": [2],
    "AdaptiveMaxPooling2D": [2],
    "AdaptiveMaxPooling3D": [2],
    "AlphaDropout": [0.5],
    "AveragePooling1D": [2],
    "AveragePooling2D": [2],
    "AveragePooling3D": [2],
    "CategoryEncoding": [4],
    "CenterCrop": [4, 4],
    "Dense": [2],
    "Dot": [-1],
    "Dropout": [0.5],
    "Embedding": [4, 2],
    "GRU": [2],
    "GRUCell": [2],
    "GaussianDropout": [0.5],
    "GaussianNoise": [0.5],
    "GroupQueryAttention": [2, 2, 1],
    "HashedCrossing": [3],
    "Hashing": [3],
    "LSTM": [2],
    "LSTMCell": [2],
    "MultiHeadAttention": [2, 2],
    "Permute": [(2, 1)],
    "RandomBrightness": [0.5],
    "RandomColorDegeneration": [0.5],
    "RandomContrast": [0.5],
    "RandomCrop": [4, 4],
    "RandomHue": [0.5],
    "RandomPosterization": [4],
    "RandomRotation": [0.5],
    "RandomSaturation": [0.5],
    "RandomSharpness": [0.5],
    "RandomTranslation": [0.5, 0.5],
    "RandomZoom": [0.5],
    "RepeatVector": [3],
    "Rescaling": [0.5],
    "Reshape": [(3, 2)],
    "Resizing": [4, 4],
    "ReversibleEmbedding": [4, 2],
    "SimpleRNN": [2],
    "SimpleRNNCell": [2],
    "SpatialDropout1D": [0.5],
    "SpatialDropout2D": [0.5],
    "SpatialDropout3D": [0.5],
    "ConvLSTM1D": [2, 2],
    "ConvLSTM2D": [2, 2],
    "ConvLSTM3D": [2, 2],
}
KEYWORDS = {
    "Discretization": {"bin_boundaries": [0.0, 0.5]},
    "GroupNormalization": {"groups": 3},
    "IntegerLookup": {"vocabulary": [1, 2]},
    "MelSpectrogram": {"fft_length": 32, "sequence_stride": 16, "num_mel_bins": 4},
    "Normalization": {"mean": 2.0, "variance": 3.0},
    "RandomColorJitter": {"brightness_factor": 0.5},
    "STFTSpectrogram": {"frame_length": 16, "frame_step": 8, "fft_length": 16},
    "StringLookup": {"vocabulary": ["a"]},
    "TextVectorization": {"vocabulary": ["a"], "output_sequence_length": 2},
}
SHAPES = {
    "CategoryEncoding": (3,),
    "ConvLSTM1D": (3, 4, 2),
    "ConvLSTM2D": (3, 4, 4, 2),
    "ConvLSTM3D": (2, 3, 3, 3, 2),
    "Dense": VECTOR,
    "GRUCell": VECTOR,
    "LSTMCell": VECTOR,
    "MelSpectrogram": (64,),
    "RepeatVector": VECTOR,
    "Reshape": VECTOR,
    "STFTSpectrogram": (64, 1),
    "SimpleRNNCell": VECTOR,
    "StackedRNNCells": VECTOR,
    "StringLookup": (2,),
    "TextVectorization": (1,),
}
DTYPES = {
    "CategoryEncoding": "int32",
    "Embedding": "int32",
    "HashedCrossing": "int32",
    "Hashing": "int32",
    "IntegerLookup": "int32",
    "ReversibleEmbedding": "int32",
    "StringLookup": "string",
    "TextVectorization": "string",
}
N_INPUTS = {
    "Add": 2,
    "AdditiveAttention": 2,
    "Attention": 2,
    "Average": 2,
    "Concatenate": 2,
    "Dot": 2,
    "HashedCrossing": 2,
    "Maximum": 2,
    "Minimum": 2,
    "Multiply": 2,
    "Subtract": 2,
}
IMAGES = {
    "AutoContrast",
    "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "Resizing",
    "Solarization",
}
FROM_255 = {
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "Solarization",
}


def layer_classes():
    """Returns the names of all layers of Keras by class."""
    names = {}
    for name, cls in inspect.getmembers(keras.layers, inspect.isclass):
        if issubclass(cls, L.Layer):
            names.setdefault(cls, []).append(name)
    return names


def make_layer(name):
    """Returns a layer, given the name of its class."""
    if name == "EinsumDense":
        return L.EinsumDense("abc,cd->abd", (4, 2), bias_axes="d")
    if name == "Lambda":
        return L.Lambda(keras.ops.square)
    if name in ("RNN", "StackedRNNCells"):
        cells = [L.SimpleRNNCell(2), L.SimpleRNNCell(2)]
        return L.RNN(cells[0]) if name == "RNN" else L.StackedRNNCells(cells)
    if name == "Bidirectional":
        return L.Bidirectional(L.SimpleRNN(2))
    if name == "SpectralNormalization":
        return L.SpectralNormalization(L.Dense(2))
    if name == "TimeDistributed":
        return L.TimeDistributed(L.Dense(2))
    if "Conv" in name and "ConvLSTM" not in name:
        arguments = [2] if name.startswith("Depthwise") else [2, 2]
    else:
        arguments = ARGUMENTS.get(name, [])
    return getattr(L, name)(*arguments, **KEYWORDS.get(name, {}))


def input_shape(name):
    """Returns the shape of the input of a layer."""
    if name in SHAPES:
        return SHAPES[name]
    if name in IMAGES or name.startswith("Random") or "2D" in name:
        return IMAGE
    return VIDEO if "3D" in name else SERIES


def call_layer(name):
    """Calls a layer with symbolic inputs, and returns them and all outputs."""
    n_inputs, dtype = N_INPUTS.get(name, 1), DTYPES.get(name, "float32")
    inputs = [keras.Input(input_shape(name), dtype=dtype) for _ in range(n_inputs)]
    layer = make_layer(name)
    if name in ("MultiHeadAttention", "GroupQueryAttention"):
        return inputs, layer(inputs[0], inputs[0])
    if name.endswith(("Cell", "Cells")):
        sizes = layer.state_size
        sizes = sizes if isinstance(sizes, (list, tuple)) else [sizes]
        inputs += [keras.Input((size,)) for size in sizes]
        return inputs, layer(inputs[0], inputs[1:])
    return inputs, layer(inputs if n_inputs > 1 else inputs[0])


def random_weights(model):
    """Gives a model weights that are positive, and neither zero nor one."""
    rng = np.random.RandomState(0)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(rng.uniform(0.2, 0.8, weight.shape))


def kind_of(name):
    """
    Says what becomes of a layer, and why.

    Returns one of "native", "native in inference", "fallback" and "refused".
    """
    inputs, outputs = call_layer(name)
    graph = KerasGraph(keras.Model(inputs, outputs))
    temporal = name == "TimeDistributed"
    reason = ""
    for kind, options in (
        ("native", {"allow_fallback": False}),
        ("native in inference", {"allow_fallback": False, "inference_only": True}),
        ("fallback", {}),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                conversion = Conversion(temporal_model=temporal, **options)
                plan(graph, conversion, Converter.converters)
        except TypeError as err:
            text = str(err).splitlines()[1]
            reason = text.partition("): ")[2]
        else:
            return kind, reason if kind == "fallback" else ""
    return "refused", reason


def table():
    """Returns the table of layers, and the version of Keras."""
    version = ".".join(keras.__version__.split(".")[:2])
    lines = [f"Made with Keras {version}:", ""]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 30 20 50", ""]
    rows = [("layer", "becomes", "why")]
    for names in sorted(layer_classes().values()):
        name = names[0] if names[0] not in ("Convolution1D",) else names[-1]
        if name in LEFT_OUT:
            rows.append((name, "\\-", LEFT_OUT[name]))
        else:
            rows.append((name, *kind_of(name)))
    for row in rows:
        for i, cell in enumerate(row):
            text = cell if i else f"``{cell}``" if row is not rows[0] else cell
            lines.append((("   * - " if i == 0 else "     - ") + text).rstrip())
    return [*lines, ""]


def main():
    """Writes the table into the documentation."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = "\n".join(table())
    PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n{END}{after}")


if __name__ == "__main__":
    main()
