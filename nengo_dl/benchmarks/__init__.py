"""
Benchmarks: how fast this backend is, against others, and whether its results agree.

``python -m nengo_dl.benchmarks`` prints tables; ``--help`` says which, and how to set
up the environment of the last NengoDL release for comparison. The networks can also
be built and profiled from Python. In this package, ``networks``, ``models``,
``training`` and ``worker`` measure, in processes of their own and possibly with other
releases; ``measure``, ``plan``, ``compare``, ``tables`` and ``command_line`` start them
and report.
"""

from nengo_dl.benchmarks.command_line import main
from nengo_dl.benchmarks.layer_networks import lmu, mnist, spaun
from nengo_dl.benchmarks.networks import (
    basal_ganglia,
    cconv,
    integrator,
    pes,
    random_network,
)
from nengo_dl.benchmarks.profiler import run_profile

__all__ = [
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
]
