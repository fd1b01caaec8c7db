"""
Builders of processes with input, such as the synapses of connections and probes.

In: groups of merged ``SimProcess`` operators. Out: TensorFlow operations of one step,
native ones for Nengo's synapses, calls of NumPy code for all other processes.

Processes without input never get here: what depends on time alone is fed in (see
`nengo_dl.graph.program.feed_inputs`).
"""

from __future__ import annotations

from nengo import Lowpass
from nengo.builder.processes import SimProcess
from nengo.synapses import LinearFilter, Triangle

from nengo_dl.builder import Builder, OpBuilder
from nengo_dl.process_builders.python import GenericProcessBuilder
from nengo_dl.process_builders.synapses import (
    LinearFilterBuilder,
    LowpassBuilder,
    TriangleBuilder,
)

__all__ = [
    "GenericProcessBuilder",
    "LinearFilterBuilder",
    "LowpassBuilder",
    "SimProcessBuilder",
    "TriangleBuilder",
]


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
        which a process is an instance without changing its maths.
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

    def __init__(self, ops):
        super().__init__(ops)
        self.built_process = self.builder_class(ops[0])(ops)
        self.pure = self.built_process.pure

    @classmethod
    def builder_class(cls, op) -> type[OpBuilder]:
        """Return the builder class for the process of an operator."""
        for process_type, builder in cls.TF_PROCESS_IMPL.items():
            if isinstance(op.process, process_type) and all(
                _inherits(op.process, process_type, name) for name in cls.MATHS
            ):
                if issubclass(builder, LowpassBuilder) and not builder.accepts(op):
                    continue  # goes on to `LinearFilter`
                return builder
        return GenericProcessBuilder

    def build_pre(self, signals, config) -> None:
        """Prepare the step."""
        super().build_pre(signals, config)
        self.built_process.build_pre(signals, config)

    def build_step(self, signals):
        """Add the operations of one step."""
        return self.built_process.build_step(signals)

    def build_post(self, signals) -> None:
        """Restart the processes."""
        self.built_process.build_post(signals)

    @staticmethod
    def carried(op) -> list:
        """Return the output if it is its own state."""
        builder = SimProcessBuilder.builder_class(op)
        return list(op.sets) if issubclass(builder, LowpassBuilder) else []

    @staticmethod
    def unused(op) -> list:
        """Return the state if the output is its own state."""
        builder = SimProcessBuilder.builder_class(op)
        return list(op.state.values()) if issubclass(builder, LowpassBuilder) else []

    @staticmethod
    def mergeable(x, y) -> bool:
        """
        Merge processes of one kind and mode.

        Lowpass filters merge with each other, other linear filters if their transfer
        functions have equal numbers of coefficients, triangles of equal lengths, and
        processes that Python runs with each other.
        """
        builder = SimProcessBuilder.builder_class(x)
        if x.mode != y.mode or builder is not SimProcessBuilder.builder_class(y):
            return False
        if issubclass(builder, LowpassBuilder):
            return True
        if list(x.state) != list(y.state):
            return False
        if issubclass(builder, GenericProcessBuilder):
            return True
        if issubclass(builder, LinearFilterBuilder) and (
            x.process.num.shape != y.process.num.shape
            or x.process.den.shape != y.process.den.shape
        ):
            return False
        return [s.shape for s in x.all_signals] == [s.shape for s in y.all_signals]


def _inherits(obj, parent: type, name: str) -> bool:
    """Return whether a method of an object is that of a parent class."""
    if name in vars(obj):
        return False
    return getattr(type(obj), name, None) is getattr(parent, name, None)
