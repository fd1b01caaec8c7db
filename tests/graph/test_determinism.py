"""Plans and orders must be the same in every process."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import numpy as np
from graph.literal_graphs import MergingBuilder, Op, OtherOp, signals
from nengo_dl.builder import Builder
from nengo_dl import graph_optimizer

Builder.builders[Op] = MergingBuilder
Builder.builders[OtherOp] = type("OtherBuilder", (MergingBuilder,), {})
rng = np.random.RandomState(0)
xs = signals(30)
ops = [Op(sets=[x], tag=f"set {i}") for i, x in enumerate(xs)]
for n in range(60):
    i, j = sorted(rng.choice(30, 2, replace=False))
    cls = (Op, OtherOp)[rng.randint(2)]
    ops.append(cls(reads=[xs[i]], incs=[xs[j]], tag=f"inc {n}"))
ops = graph_optimizer.simplify(ops)
for name in ("greedy", "tree", "transitive", "noop"):
    plan = getattr(graph_optimizer, f"{name}_planner")(ops)
    order, plan = graph_optimizer.order_signals(plan)
    print([x.name for x in order], [[op.tag for op in group] for group in plan])
"""


def test_order_is_independent_of_the_hash_seed():
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "tests")])

    def output(hash_seed):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    first = output("0")
    assert first.count("\n") == 4
    assert all(output(seed) == first for seed in ("1", "2"))
