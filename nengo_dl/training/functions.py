"""
The functions that train with batches or evaluate them: which, and how compiled.

In: what is known of the batches before the first of them is seen. Out: a Keras model
that has functions for such batches. What has been compiled is kept for the next time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import nengo
from nengo.exceptions import SimulationError

from nengo_dl.execution.lengths import LENGTHS
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.tensor_graph import MAX_COMPILED_GROUPS
from nengo_dl.training.gradients import broken_paths, python_in_loops
from nengo_dl.training.keras_model import SimulatorModel, TrainingFacts

KERAS_VERSION = tuple(int(number) for number in keras.__version__.split(".")[:2])


@dataclass(frozen=True)
class BatchFacts:
    """
    What is known of batches before the first of them is seen.

    Parameters
    ----------
    n_steps : int or None
        Number of steps, if all batches have the same.
    targets : structure of tf.TensorSpec
        See `TrainingData.target_specs`.
    given : tuple of nengo.Node
        The Nodes of which batches have the outputs.
    counted_by : str or None
        How batches say what of them counts; see `counted_by`.
    """

    n_steps: int | None
    targets: Any
    given: tuple[nengo.Node, ...]
    counted_by: str | None

    def key(self) -> tuple:
        """Return what functions depend on."""
        return (self.n_steps, str(self.targets), self.given, self.counted_by)


class TrainingFunctions:
    """
    The functions that train with batches.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    probe_names : dict of {nengo.Probe: str}
        Names of the Probes.
    """

    def __init__(self, simulation: Simulation, probe_names: Mapping[nengo.Probe, str]):
        self._simulation = simulation
        self._probe_names = probe_names
        # what functions were made for, and by what they depend on
        self._made_for: tuple = ()
        self._train_functions: dict[tuple, tuple[TrainingFacts, Callable]] = {}

    def prepare(
        self,
        model: SimulatorModel,
        keep_state: bool,
        batches: BatchFacts,
        jit_compile: bool | str,
    ) -> None:
        """
        Give a model the function that trains with batches of a kind.

        Parameters
        ----------
        model : SimulatorModel
            The model, which has been compiled.
        keep_state : bool
            Whether the state at the end of a batch is kept.
        batches : BatchFacts
            The kind of batches.
        jit_compile : bool or "auto"
            Whether the user wants XLA to compile whole batches.

        Raises
        ------
        nengo.exceptions.SimulationError
            If it cannot be trained.

        Warns
        -----
        UserWarning
            If parameters have no gradient.
        """
        graph = self._simulation.tensor_graph
        names = set(model.objectives.losses)
        if isinstance(batches.targets, Mapping):
            names &= model.objectives.counted(batches.targets)
        probes = [probe for probe, name in self._probe_names.items() if name in names]
        is_local = model.distribute_strategy.num_replicas_in_sync == 1
        if not is_local and KERAS_VERSION < (3, 10):
            raise SimulationError(
                "Training on several devices needs Keras 3.10 or newer (received "
                f"{keras.__version__}), as older versions do not add up gradients and "
                "losses; update Keras, or train on one device"
            )
        if self._made_for != (model.objectives, model.optimizer):
            self._made_for = (model.objectives, model.optimizer)
            self._train_functions = {}
        steps = batches.n_steps
        key = (keep_state, jit_compile, batches.key())
        if key in self._train_functions:
            model.facts, model.train_function = self._train_functions[key]
            return
        if steps is not None and steps != graph.unroll:
            in_loops = python_in_loops(graph, probes)
            if in_loops:
                raise SimulationError(
                    f"Cannot train through {', '.join(in_loops)}: TensorFlow knows the "
                    "gradient of a `tf.py_function` for a single call only. Use "
                    "TensorFlow functions instead, or one timestep"
                )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        uses_xla = self._uses_xla(model, batches, jit_compile)
        model.facts = TrainingFacts(steps, keep_state, uses_xla)
        model.make_train_function(force=True)
        self._train_functions[key] = model.facts, model.train_function
        broken = broken_paths(graph, probes)
        if broken:
            warnings.warn(
                f"No gradient flows through {', '.join(broken)}: NumPy code, and "
                "steps without a derivative, cannot be differentiated. Parameters that "
                "influence the loss through them alone stay as they are."
            )

    def _uses_xla(
        self, model: SimulatorModel, batches: BatchFacts, jit_compile: bool | str
    ) -> bool:
        """Return whether XLA compiles whole batches; warn if it cannot as it should."""
        graph = self._simulation.tensor_graph
        is_local = model.distribute_strategy.num_replicas_in_sync == 1
        if jit_compile == "auto":
            steps, are_unequal = batches.n_steps, batches.counted_by == LENGTHS
            return (
                is_local
                and steps is not None
                and graph.compiles_training(steps, batches.given, are_unequal)
                and model.layers_compile()
                and model.is_here()
                and model.objectives_compile(batches.targets, steps, batches.counted_by)
            )
        if not jit_compile:
            return False
        if is_local and not model.is_here():
            warnings.warn(
                "Proceeding with `jit_compile=False`: XLA cannot reach variables "
                "of the optimizer, metrics, or layers that are on other devices "
                "than the simulator; create them within `with sim:`, or "
                f"`with tf.device(...)` (the device is {graph.device!r})"
            )
            return False
        n_groups = len(graph.training_plan)
        if n_groups > MAX_COMPILED_GROUPS:
            warnings.warn(
                f"XLA is about to compile {n_groups} groups of operators, "
                'which may take minutes; jit_compile="auto" does not'
            )
        return True


class EvaluationFunctions:
    """The functions that evaluate batches, by whether the state is kept."""

    def __init__(self) -> None:
        # those that are not in use
        self._functions: dict[bool | None, tuple] = {}

    @contextmanager
    def of(self, model: SimulatorModel, x: Any, keep_state: bool) -> Iterator[None]:
        """
        Return a context in which a model has the functions for a kind of batches.

        Only batches with lengths need functions that know whether the state is kept:
        the state that every item ends with takes a while to keep.

        Parameters
        ----------
        model : SimulatorModel
            The model.
        x : object
            The inputs, see `TrainingData.inputs`.
        keep_state : bool
            Whether the state at the end of a batch is kept.
        """
        has_lengths = not isinstance(x, dict) or LENGTHS in x
        before = model.keep_state
        self._use(model, keep_state if has_lengths else None)
        try:
            yield
        finally:
            self._use(model, before)

    def _use(self, model: SimulatorModel, keep_state: bool | None) -> None:
        if keep_state != model.keep_state:
            used = model.test_function, model.predict_function
            self._functions[model.keep_state] = used
            functions = self._functions.pop(keep_state, (None, None))
            model.test_function, model.predict_function = functions
            model.keep_state = keep_state
