"""
The registries: who builds an operator, and who builds a Nengo object.

In: a Nengo operator. Out: the :class:`OpBuilder` class that turns a group of merged
operators into TensorFlow operations, or else runs their NumPy steps. Nothing in this
file creates a tensor.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from nengo.builder import Builder as CoreBuilder
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder.work import Work
from nengo_dl.config import Settings

if TYPE_CHECKING:
    from nengo_dl.signals import SignalDict

# The modules that fill the registry. They need TensorFlow, and are imported when the
# first builder is looked up.
BUILDER_MODULES = (
    "nengo_dl.op_builders",
    "nengo_dl.neuron_builders",
    "nengo_dl.learning_rule_builders",
    "nengo_dl.process_builders",
    "nengo_dl.transform_builders",
    "nengo_dl.tensor_node",
)


class BuildConfig(NamedTuple):
    """
    What operator builders are told about the simulation they are built for.

    Parameters
    ----------
    inference_only : bool
        True if the network will never be trained.
    lif_smoothing : float or None
        Smoothing (``sigma``) of the rate version of `nengo.LIF` used in training.
    cpu_only : bool
        True if all operations run on the CPU.
    rng : numpy.random.RandomState
        Source of random numbers (seeds) for builders.
    training : bool
        True while the training version of the network is built.
    settings : Settings
        All settings of the network.
    compiles : bool
        True if XLA compiles the steps.
    """

    inference_only: bool
    lif_smoothing: float | None
    cpu_only: bool
    rng: np.random.RandomState
    training: bool
    settings: Settings = Settings()
    compiles: bool = False


class OpBuilder:
    """
    Base class of operator builders; builds one group of merged operators.

    The life of a builder: ``__init__`` (no TensorFlow there), :meth:`build_constants`
    (operations outside of the steps), :meth:`build_pre` (constants, combined signals),
    :meth:`build_step` (the operations of one simulation step), and :meth:`build_post`
    (whatever restarts with the simulation, such as the state of Python functions). All
    but the first and the last run in the same trace and may run several times, once for
    each traced function.

    Parameters
    ----------
    ops : list of nengo.builder.Operator
        The merged operators, all of one type.

    Attributes
    ----------
    planner_priority : int
        Class attribute. `.transitive_planner` merges operator types in ascending
        order of this number.
    pure : bool
        False if a step calls back into Python, so that it cannot be compiled.
        May be set for the class or for an instance.
    differentiable : bool or None
        Whether gradients flow through the step in training; None if they do where it is
        ``pure``. May be set like ``pure``.
    adds_losses : bool
        True if a step appends scalars to ``signals.losses``: what is to be added to the
        loss in training, beyond the losses of Probes. May be set like ``pure``.
    calls : ItemwiseCalls or None
        What calls Python in the step, if a step consists of nothing else.
    """

    planner_priority = 50
    pure = True
    differentiable: bool | None = None
    adds_losses = False
    calls: Any = None

    config: BuildConfig

    def __init__(self, ops: Sequence[Operator]):
        self.ops = ops

    @property
    def implementation(self) -> Any:
        """The builder that does the work: this one, unless it leaves it to another."""
        return self

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """
        Compute what is the same in all steps, once.

        Parameters
        ----------
        signals : SignalDict
            The signals; those that no operator writes have values.
        config : BuildConfig
            As for `build_pre`.
        """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Prepare what the step needs (constants, combined signals)."""
        self.config = config

    def build_step(self, signals: SignalDict) -> Any:
        """
        Add the operations of one simulation step.

        Parameters
        ----------
        signals : SignalDict
            The values of signals, to be read and written.

        Raises
        ------
        nengo.exceptions.BuildError
            If a subclass has no such method.
        """
        raise BuildError(
            f"`{type(self).__name__}` builds no operations: OpBuilders must implement "
            "a `build_step` function"
        )

    def build_post(self, signals: SignalDict) -> None:
        """(Re)start whatever is outside of the compiled step."""

    def restart(
        self, signals: SignalDict, ops: Container[Operator], items: Sequence[int]
    ) -> None:
        """
        Restart what `build_post` starts, for some operators and items.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        ops : container of nengo.builder.Operator
            The operators; there may be others among them.
        items : sequence of int
            The items of the minibatch.
        """

    def rngs(self) -> list[np.random.RandomState]:
        """
        Return the random number generators that Python functions of the step use.

        Their states are part of the state of the simulation. Not among them are those
        in ``signals.process_rngs``, which belong to the simulator.
        """
        return []

    def runs_faster_in_xla(self, cpu_only: bool, minibatch_size: int) -> bool:
        """
        Say whether compiling the group with XLA is worth it.

        Asked only with ``jit_compile="auto"``. A group that is not compiled cuts the
        step into segments, which costs some 50 microseconds per step.

        Parameters
        ----------
        cpu_only : bool
            Whether the simulation runs on a CPU.
        minibatch_size : int
            Number of items in a minibatch.
        """
        return True

    @staticmethod
    def carried(op: Any) -> list[Signal]:
        """
        Return the signals in ``op.sets`` whose previous values the step needs.

        All of them by default, which is always right. Builders that overwrite their
        ``sets`` without reading them return an empty list; the values then need not
        be kept from step to step, which is faster.

        Parameters
        ----------
        op : nengo.builder.Operator
            An operator of the type that this class builds.
        """
        return list(op.sets)

    @staticmethod
    def unused(op: Any) -> list[Signal]:
        """
        Return the signals of an operator that its builder neither reads nor writes.

        Operators that differ in these only can be merged.

        Parameters
        ----------
        op : nengo.builder.Operator
            An operator of the type that this class builds.
        """
        return []

    @staticmethod
    def timeless(op: Any) -> bool:
        """
        Say whether the step could compute many steps at once, as more items.

        True of builders that compute every item of a minibatch from what the operator
        reads of that item alone, in the same way whatever the time: they have no state,
        use no random numbers, and need not know how many items there are. False by
        default, which is always right.

        Parameters
        ----------
        op : nengo.builder.Operator
            An operator of the type that this class builds.
        """
        return False

    @staticmethod
    def resting_in_training(op: Any) -> list[Signal]:
        """
        Return the state that the step neither reads nor writes in training.

        Of builders that are `timeless` but for this state, while the network is
        trained. None by default, which is always right.

        Parameters
        ----------
        op : nengo.builder.Operator
            An operator of the type that this class builds.
        """
        return []

    @staticmethod
    def hidden_work(op: Any) -> Work:
        """
        Return what a `timeless` operator computes that its signals do not show.

        Nothing, by default: weights are signals that have no minibatch axis.

        Parameters
        ----------
        op : nengo.builder.Operator
            An operator of the type that this class builds.
        """
        return Work()

    @staticmethod
    def mergeable(x: Any, y: Any) -> bool:
        """
        Say whether ``y`` can join a group of operators that contains ``x``.

        Called only for two different operators that pass the general checks of
        `nengo_dl.graph_optimizer.mergeable`. By default nothing is merged.

        Parameters
        ----------
        x, y : nengo.builder.Operator
            Operators of the type that this class builds.
        """
        return False


class Builder:
    """
    The registry of operator builders, and the builders of one plan.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups of operators, in the order in which they are executed.

    Attributes
    ----------
    builders : dict
        Class attribute: ``{operator type: OpBuilder subclass}``. Types are looked up
        exactly, so that a subclass that changes its maths is never built as its
        parent. The builder of `nengo.builder.Operator` itself is for all types that
        are not listed: it calls their NumPy step.
    op_builds : dict
        ``{group: OpBuilder instance}`` for the groups of ``plan``, in plan order.
    """

    builders: dict[type, type[OpBuilder]] = {}

    def __init__(self, plan: Sequence[tuple[Operator, ...]]):
        self.plan = plan
        self.op_builds = {ops: self.builder_of(ops[0])(ops) for ops in plan}

    @classmethod
    def builder_of(cls, op: Operator) -> type[OpBuilder]:
        """
        Return the builder class for an operator.

        It is the one registered for the type of ``op``, or else the one that calls the
        NumPy step of any operator.

        Parameters
        ----------
        op : nengo.builder.Operator
            The operator.

        Raises
        ------
        nengo.exceptions.BuildError
            If there is no builder, and the operator has no step either.
        """
        load_builders()
        if type(op) in cls.builders:
            return cls.builders[type(op)]
        if cls.runs_in_numpy(op):
            return cls.builders[Operator]
        raise BuildError(
            f"No registered builder for operators of type `{type(op).__name__}` "
            f"({op}), which have no NumPy step (`make_step`) either; write an "
            "`nengo_dl.builder.OpBuilder` for it and register it with "
            "`@nengo_dl.builder.Builder.register`, or give it a `make_step`"
        )

    @classmethod
    def runs_in_numpy(cls, op: Operator) -> bool:
        """Return whether an operator has no builder of its own, but a NumPy step."""
        load_builders()
        step = getattr(op.make_step, "__func__", None)
        return type(op) not in cls.builders and step is not Operator.make_step

    def build_pre(
        self, signals: SignalDict, config: BuildConfig, progress: Any = None
    ) -> None:
        """Run the ``build_pre`` of every group."""
        for build in self._with_progress(progress):
            build.build_pre(signals, config)

    def build_step(self, signals: SignalDict, progress: Any = None) -> list:
        """
        Run the ``build_step`` of every group.

        Parameters
        ----------
        signals : SignalDict
            The values of all signals, at the beginning of the step.
        progress : nengo_dl.utils.NullProgressBar, optional
            Told of every group.

        Returns
        -------
        side_effects : list
            Whatever the builders returned: tensors and other values one by one,
            lists and tuples taken apart.
        """
        side_effects: list = []
        for build in self._with_progress(progress):
            output = build.build_step(signals)
            if isinstance(output, (list, tuple)):
                side_effects.extend(output)
            elif output is not None:
                side_effects.append(output)
        return side_effects

    def build_post(self, signals: SignalDict, progress: Any = None) -> None:
        """Run the ``build_post`` of every group."""
        for build in self._with_progress(progress):
            build.build_post(signals)

    def _with_progress(self, progress: Any) -> Iterator[OpBuilder]:
        for ops in self.plan:
            yield self.op_builds[ops]
            if progress is not None:
                progress.step()

    @staticmethod
    def name_scope(ops: Sequence[Operator]) -> str:
        """Return a name for the operations of a group."""
        name = type(ops[0]).__name__
        return name if len(ops) == 1 else f"{name}_{len(ops)}"

    @classmethod
    def register(cls, nengo_op: type[Operator]) -> Callable[[type], type]:
        """
        Return a decorator that registers an `OpBuilder` for an operator type.

        Parameters
        ----------
        nengo_op : type
            The subclass of `nengo.builder.Operator` that the builder builds.
        """

        def register_builder(build_cls: type) -> type:
            if not issubclass(build_cls, OpBuilder):
                warnings.warn(
                    f"`{build_cls.__name__}` is registered as a builder but does not "
                    "inherit from `OpBuilder`"
                )
            if nengo_op in cls.builders:
                warnings.warn(
                    f"Operator type `{nengo_op.__name__}` already has a builder "
                    f"(`{cls.builders[nengo_op].__name__}`), which is overwritten by "
                    f"`{build_cls.__name__}`"
                )
            cls.builders[nengo_op] = build_cls
            return build_cls

        return register_builder


class NengoBuilder(CoreBuilder):
    """
    Nengo's builder with build functions of our own that come first.

    ``@NengoBuilder.register(cls)`` overrides how NengoDL builds Nengo objects of type
    ``cls`` without changing how any other backend builds them.
    """

    builders: dict = {}

    @classmethod
    def build(cls, model: Model, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Build ``obj`` with our build function if there is one, else Nengo's."""
        load_builders()
        for obj_cls in type(obj).__mro__:
            if obj_cls in cls.builders and not model.has_built(obj):
                return cls.builders[obj_cls](model, obj, *args, **kwargs)
            if obj_cls in CoreBuilder.builders:
                break
        return CoreBuilder.build(model, obj, *args, **kwargs)


def is_from_outside(builder: Any) -> bool:
    """Return whether a builder is none of those that come with the package."""
    return type(builder).__module__.partition(".")[0] != "nengo_dl"


_loaded = False


def load_builders() -> None:
    """
    Fill the registries with what the package brings along, once.

    What others have registered stays.
    """
    global _loaded
    if _loaded:
        return
    _loaded = True
    registries = (Builder.builders, NengoBuilder.builders)
    registered = [dict(registry) for registry in registries]
    for registry in registries:
        registry.clear()
    for module in BUILDER_MODULES:
        import_module(module)
    for registry, entries in zip(registries, registered):
        registry.update(entries)
