"""The builder of processes, which leaves the work to the builder of their type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nengo import Lowpass
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.processes import Process
from nengo.synapses import LinearFilter, Triangle

from nengo_dl.builder import BuildConfig, Builder, OpBuilder
from nengo_dl.process_builders.base import ProcessBuilder
from nengo_dl.process_builders.python import GenericProcessBuilder
from nengo_dl.process_builders.synapses import (
    LinearFilterBuilder,
    LowpassBuilder,
    TriangleBuilder,
)
from nengo_dl.signals import SignalDict


@Builder.register(SimProcess)
class SimProcessBuilder(OpBuilder):
    """
    Build processes by the builder of their type.

    Parameters
    ----------
    ops : list of nengo.builder.processes.SimProcess
        The merged operators; the processes have builders of one type.

    Attributes
    ----------
    TF_PROCESS_IMPL : dict of {type: type}
        Class attribute: builder classes of process types. The first type counts of
        which a process is an instance without changing its maths, if its builder
        accepts the operator.
    built_process : OpBuilder
        The builder that does the work.
    """

    TF_PROCESS_IMPL: dict[type, type[OpBuilder]] = {
        Lowpass: LowpassBuilder,
        LinearFilter: LinearFilterBuilder,
        Triangle: TriangleBuilder,
    }

    # What a subclass must inherit to be built as its parent.
    MATHS = ("make_step", "make_state", "_get_ss", "_get_coefficients")

    def __init__(self, ops: Sequence[SimProcess]):
        super().__init__(ops)
        self.built_process = self.builder_class(ops[0])(ops)
        self.pure = self.built_process.pure

    @classmethod
    def builder_class(cls, op: SimProcess) -> type[OpBuilder]:
        """Return the builder class for the process of an operator."""
        for process_type, builder in cls.TF_PROCESS_IMPL.items():
            if (
                isinstance(op.process, process_type)
                and all(_inherits(op.process, process_type, name) for name in cls.MATHS)
                and _rules(builder).accepts(op)
            ):
                return builder
        return GenericProcessBuilder

    @property
    def implementation(self) -> Any:
        """The builder that does the work."""
        return self.built_process

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """Pass on."""
        self.built_process.build_constants(signals, config)

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare the step."""
        super().build_pre(signals, config)
        self.built_process.build_pre(signals, config)

    def build_step(self, signals: SignalDict) -> Any:
        """Add the operations of one step."""
        return self.built_process.build_step(signals)

    def build_post(self, signals: SignalDict) -> None:
        """Restart the processes."""
        self.built_process.build_post(signals)

    @staticmethod
    def carried(op: SimProcess) -> list[Signal]:
        """Ask the builder of the process."""
        return _rules(SimProcessBuilder.builder_class(op)).carried(op)

    @staticmethod
    def unused(op: SimProcess) -> list[Signal]:
        """Ask the builder of the process."""
        return _rules(SimProcessBuilder.builder_class(op)).unused(op)

    @staticmethod
    def mergeable(x: SimProcess, y: SimProcess) -> bool:
        """Merge processes of one mode that have one builder, which allows it."""
        builder = SimProcessBuilder.builder_class(x)
        if x.mode != y.mode or builder is not SimProcessBuilder.builder_class(y):
            return False
        return _rules(builder).mergeable(x, y)


def _rules(builder: type[OpBuilder]) -> type[ProcessBuilder]:
    """Return who answers for a builder: itself, unless it comes from outside."""
    return builder if issubclass(builder, ProcessBuilder) else ProcessBuilder


def _inherits(process: Process, parent: type, name: str) -> bool:
    """Return whether a method of a process is that of a parent class."""
    if name in vars(process):
        return False
    return getattr(type(process), name, None) is getattr(parent, name, None)
