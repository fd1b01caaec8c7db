"""
Passes over lists of operators (stages 4 to 6 of the pipeline).

Everything here works on Nengo operators and creates no tensors. A pass takes operators
(or a plan) and returns new ones; it never writes into what it was given.
"""

from nengo_dl.graph_optimizer.merge import mergeable
from nengo_dl.graph_optimizer.ordering import (
    hamming_sort,
    noop_order_signals,
    order_signals,
    sort_ops_by_signals,
    sort_signals_by_ops,
)
from nengo_dl.graph_optimizer.planners import (
    greedy_planner,
    noop_planner,
    tree_planner,
)
from nengo_dl.graph_optimizer.signal_io import signal_io_dicts

__all__ = [
    "greedy_planner",
    "hamming_sort",
    "mergeable",
    "noop_order_signals",
    "noop_planner",
    "order_signals",
    "signal_io_dicts",
    "sort_ops_by_signals",
    "sort_signals_by_ops",
    "tree_planner",
]
