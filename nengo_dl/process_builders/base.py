"""What builders of processes have in common: they know what they can build."""

from __future__ import annotations

from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal

from nengo_dl.op_builders import OverwritingBuilder


class ProcessBuilder(OverwritingBuilder):
    """
    Base class of builders of processes.

    `.SimProcessBuilder` asks them what it would have to answer itself as the builder of
    the operator: ``carried``, ``unused`` and ``mergeable``. By default, the step
    overwrites the output, and reads and writes all of the state.
    """

    @staticmethod
    def accepts(op: SimProcess) -> bool:
        """Return whether the process of an operator can be built like this."""
        return True

    @staticmethod
    def unused(op: SimProcess) -> list[Signal]:
        """Return nothing: all signals are needed."""
        return []

    @staticmethod
    def mergeable(x: SimProcess, y: SimProcess) -> bool:
        """Merge processes of one builder and mode if all signals have equal shapes."""
        return list(x.state) == list(y.state) and (
            [s.shape for s in x.all_signals] == [s.shape for s in y.all_signals]
        )
