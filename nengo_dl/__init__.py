"""
NengoDL: a backend that simulates and trains Nengo networks with TensorFlow.

``import nengo_dl`` loads Nengo but not TensorFlow. Whatever needs TensorFlow is
imported when it is first used, be it a name (``nengo_dl.Simulator``) or a module
(``nengo_dl.neuron_builders``).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nengo_dl import config, dists, neurons, utils, version
from nengo_dl.config import configure_settings
from nengo_dl.neurons import (
    IntegrateAndFire,
    LeakyReLU,
    SoftLIFRate,
    SpikingLeakyReLU,
)
from nengo_dl.utils.removed import REMOVED_NAMES, removed

if TYPE_CHECKING:
    from nengo_dl.converter import Converter
    from nengo_dl.simulator import Simulator
    from nengo_dl.tensor_node import Layer, TensorNode, tensor_layer

__version__ = version.version
__copyright__ = version.copyright
__license__ = "MIT"

__all__ = [
    "Converter",
    "IntegrateAndFire",
    "Layer",
    "LeakyReLU",
    "Simulator",
    "SoftLIFRate",
    "SpikingLeakyReLU",
    "TensorNode",
    "config",
    "configure_settings",
    "dists",
    "neurons",
    "tensor_layer",
    "utils",
    "version",
]

# Public names that are imported on first use, and the modules that define them.
_DEFINED_IN = {
    "Converter": "converter",
    "Layer": "tensor_node",
    "Simulator": "simulator",
    "TensorNode": "tensor_node",
    "tensor_layer": "tensor_node",
}


def __getattr__(name: str) -> Any:
    if name in REMOVED_NAMES:
        raise removed(f"nengo_dl.{name}", REMOVED_NAMES[name])
    if name in _DEFINED_IN:
        return getattr(import_module(f"nengo_dl.{_DEFINED_IN[name]}"), name)
    if not name.startswith("_") and find_spec(f"nengo_dl.{name}"):
        return import_module(f"nengo_dl.{name}")
    raise AttributeError(f"module `nengo_dl` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
