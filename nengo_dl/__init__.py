"""
NengoDL: a backend that simulates and trains Nengo networks with TensorFlow.

``import nengo_dl`` loads Nengo but not TensorFlow. What needs TensorFlow is imported
when it is first used, as in ``nengo_dl.Simulator``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nengo_dl import config, dists, neurons, utils, version
from nengo_dl.config import configure_settings
from nengo_dl.neurons import LeakyReLU, SoftLIFRate, SpikingLeakyReLU

if TYPE_CHECKING:
    from nengo_dl import builder

__version__ = version.version
__copyright__ = version.copyright
__license__ = "MIT"

__all__ = [
    "LeakyReLU",
    "Simulator",
    "SoftLIFRate",
    "SpikingLeakyReLU",
    "builder",
    "config",
    "configure_settings",
    "dists",
    "neurons",
    "utils",
    "version",
]

# Public names that are imported on first use, and the modules that define them.
_LAZY_NAMES = {"Simulator": "simulator"}

# Modules that are imported on first use.
_LAZY_MODULES = {
    "builder",
    "graph_optimizer",
    "learning_rule_builders",
    "neuron_builders",
    "op_builders",
    "process_builders",
    "signals",
    "simulator",
    "tensor_graph",
    "transform_builders",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(import_module(f"nengo_dl.{_LAZY_NAMES[name]}"), name)
    if name in _LAZY_MODULES:
        return import_module(f"nengo_dl.{name}")
    raise AttributeError(f"module `nengo_dl` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
