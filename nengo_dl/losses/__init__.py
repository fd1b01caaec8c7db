"""
Loss functions for networks over time.

In: targets and outputs of a probe, ``(batch_size, n_steps, ...)``. Out: losses for
`Simulator.compile <nengo_dl.Simulator>`; and, by `LastStep` and `TimeMean`, losses and
metrics of one value for each item.
"""

from nengo_dl.losses.all_steps import Regularize, nan_mse
from nengo_dl.losses.time_reductions import LastStep, TimeMean, TimeReduction

__all__ = ["LastStep", "Regularize", "TimeMean", "TimeReduction", "nan_mse"]
