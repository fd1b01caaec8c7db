"""
Passes over lists of operators (stages 4 to 6 of the pipeline).

Everything here works on Nengo operators and creates no tensors. A pass takes operators
(or a plan) and returns new ones; it never writes into what it was given.
"""

from nengo_dl.graph.dependencies import transitive_closure_recurse
from nengo_dl.graph.increments import SettingOperator
from nengo_dl.graph.merge import mergeable
from nengo_dl.graph.ordering import (
    display_signal_blocks,
    hamming_sort,
    noop_order_signals,
    order_signals,
    sort_ops_by_signals,
    sort_signals_by_ops,
)
from nengo_dl.graph.planners import (
    greedy_planner,
    noop_planner,
    tree_planner,
)
from nengo_dl.graph.signal_io import signal_io_dicts
from nengo_dl.graph.simplify import (
    default_simplifications,
    join_columns,
    remove_constant_copies,
    remove_identity_muls,
    remove_pes_deltas,
    remove_reset_incs,
    remove_unmodified_resets,
    remove_zero_incs,
    scale_convolutions,
    simplify,
)
from nengo_dl.graph.transitive import transitive_planner
from nengo_dl.graph.verify import verify_plan

__all__ = [
    "SettingOperator",
    "default_simplifications",
    "display_signal_blocks",
    "greedy_planner",
    "hamming_sort",
    "join_columns",
    "mergeable",
    "noop_order_signals",
    "noop_planner",
    "order_signals",
    "remove_constant_copies",
    "remove_identity_muls",
    "remove_pes_deltas",
    "remove_reset_incs",
    "remove_unmodified_resets",
    "remove_zero_incs",
    "scale_convolutions",
    "signal_io_dicts",
    "simplify",
    "sort_ops_by_signals",
    "sort_signals_by_ops",
    "transitive_closure_recurse",
    "transitive_planner",
    "tree_planner",
    "verify_plan",
]
