import pytest

from nengo_dl import graph_optimizer


@pytest.mark.parametrize(
    "name",
    (
        "mergeable",
        "greedy_planner",
        "tree_planner",
        "transitive_planner",
        "noop_planner",
        "transitive_closure_recurse",
        "order_signals",
        "noop_order_signals",
        "hamming_sort",
        "sort_ops_by_signals",
        "sort_signals_by_ops",
        "display_signal_blocks",
        "signal_io_dicts",
        "remove_unmodified_resets",
        "remove_zero_incs",
        "remove_reset_incs",
        "remove_constant_copies",
        "remove_identity_muls",
        "join_columns",
        "default_simplifications",
    ),
)
def test_name_is_public(name):
    assert hasattr(graph_optimizer, name)
    assert name in graph_optimizer.__all__
