"""
The API of builders: where signals are, and how a step reads and writes them.

In: the layout of a program. Out: `SignalDict`, the values of all signals at one point
of a step, and `TensorSignal`, the place of one signal.
"""

from nengo_dl.signals.signal_dict import SignalDict
from nengo_dl.signals.tensor_signal import TensorSignal

__all__ = ["SignalDict", "TensorSignal"]
