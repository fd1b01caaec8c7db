"""
What becomes of every layer of a Keras model, before anything is made.

In: a graph of calls, and the options. Out: a `Decision` for every layer, nested ones
included, and an error or one warning for those that cannot be converted.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from nengo.neurons import NeuronType

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.fusion import find_fusions
from nengo_dl.converter.keras_graph import Call, KerasGraph
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.reasons import why_not_native

NATIVE, FALLBACK, REFUSED = "native", "fallback", "refused"


@dataclass(frozen=True)
class Decision:
    """
    What becomes of a layer.

    Parameters
    ----------
    layer : keras.Operation
        The layer or operation.
    kind : {"native", "fallback", "refused"}
        Nengo's own objects, a TensorNode, or an error.
    converter_class : type
        The `.LayerConverter` that does it.
    reason : str
        Why it is not native; empty if it is.
    activation : object
        The activation that has no neuron type, and becomes a TensorNode; else None.
    """

    layer: keras.Operation
    kind: str
    converter_class: type[LayerConverter]
    reason: str = ""
    activation: Any = None

    @property
    def why(self) -> str:
        """Say why the layer is not native, or not entirely."""
        if self.activation is None:
            return self.reason
        return f"no neuron type computes {self.activation!r}"

    @property
    def text(self) -> str:
        """Name the layer, and say what is wrong with it."""
        name = f"`{self.layer.name}` ({type(self.layer).__name__})"
        if self.activation is None:
            return f"{name}: {self.reason}"
        return (
            f"{name}: Unsupported activation type, no neuron type computes "
            f"{self.activation!r}"
        )


def decide(
    layer: keras.Operation,
    converter: Conversion,
    registry: Mapping[type | None, type[LayerConverter]],
) -> Decision:
    """
    Decide what becomes of a layer.

    Parameters
    ----------
    layer : keras.Operation
        The layer.
    converter : Conversion
        The options.
    registry : dict of {type: type}
        Converters by class of layer; that of fallbacks under None.

    Returns
    -------
    decision : Decision
    """
    found = registry.get(type(layer))
    if found is None:
        native, reason = False, why_not_native(layer)
        may_fall_back = True
    else:
        native, text = found.convertible(layer, converter)
        reason, may_fall_back = text or "", found.may_fall_back(layer, converter)
    if native and found is not None:
        activation = converter.activations.neuron_type(
            found.activation_of(layer), found.activation_map
        )
        if activation is None or isinstance(activation, NeuronType):
            return Decision(layer, NATIVE, found)
        kind = NATIVE if converter.allow_fallback else REFUSED
        return Decision(layer, kind, found, "", activation)
    fallback = registry[None]
    if converter.allow_fallback and may_fall_back:
        possible, why_not = fallback.convertible(layer, converter)
        if possible:
            return Decision(layer, FALLBACK, fallback, reason)
        reason = f"{reason}; {why_not}"
    return Decision(layer, REFUSED, fallback, reason)


def plan(
    graph: KerasGraph,
    converter: Conversion,
    registry: Mapping[type | None, type[LayerConverter]],
) -> dict[int, Decision]:
    """
    Decide what becomes of all layers of a model.

    Parameters
    ----------
    graph : KerasGraph
        The calls of the model.
    converter, registry
        See `decide`.

    Returns
    -------
    decisions : dict of {int: Decision}
        By ``id(layer)``.

    Raises
    ------
    TypeError
        If there are layers that cannot be converted; it names all of them.
    ValueError
        If layers with weights are called several times, and these are not to be split.

    Warns
    -----
    UserWarning
        If there are layers that are kept as they are, in TensorNodes.
    """
    decisions: dict[int, Decision] = {}
    n_calls: dict[int, int] = {}
    for call in graph.all_calls():
        _note(call, converter, registry)
    _visit(graph, converter, registry, decisions, n_calls)
    refused = [d for d in decisions.values() if d.kind == REFUSED]
    if refused:
        lines = "\n".join(f"  {decision.text}" for decision in refused)
        names = ", ".join(f"'{decision.layer.name}'" for decision in refused)
        raise TypeError(
            f"Unable to convert layer {names} to native Nengo objects:\n{lines}\n"
            "Change these layers"
            + (
                ""
                if converter.allow_fallback
                else ", or set `allow_fallback=True` to keep them as TensorNodes"
            )
        )
    _check_shared_weights(decisions, n_calls, converter)
    _warn_about_fallbacks(decisions)
    if converter.fuse_batch_normalization:
        converter.fusions = find_fusions(graph, decisions, converter.activations)
    return decisions


def _note(
    call: Call,
    converter: Conversion,
    registry: Mapping[type | None, type[LayerConverter]],
) -> None:
    """Tell the converter of a call, and of those inside of it."""
    converter.all_calls.setdefault(id(call.op), []).append(call)
    if type(call.op) in registry:
        for inner in registry[type(call.op)].inner_calls(call):
            _note(inner, converter, registry)


def _visit(
    graph: KerasGraph,
    converter: Conversion,
    registry: Mapping[type | None, type[LayerConverter]],
    decisions: dict[int, Decision],
    n_calls: dict[int, int],
) -> None:
    for call in graph.calls:
        if id(call.op) in graph.nested:
            _visit(graph.nested[id(call.op)], converter, registry, decisions, n_calls)
        _decide_call(call, converter, registry, decisions, n_calls)


def _decide_call(
    call: Call,
    converter: Conversion,
    registry: Mapping[type | None, type[LayerConverter]],
    decisions: dict[int, Decision],
    n_calls: dict[int, int],
) -> None:
    n_calls[id(call.op)] = n_calls.get(id(call.op), 0) + 1
    if id(call.op) not in decisions:
        decisions[id(call.op)] = decide(call.op, converter, registry)
    decision = decisions[id(call.op)]
    if decision.kind == NATIVE:
        for inner in decision.converter_class.inner_calls(call):
            _decide_call(inner, converter, registry, decisions, n_calls)


def _check_shared_weights(
    decisions: dict[int, Decision], n_calls: dict[int, int], converter: Conversion
) -> None:
    shared = [
        f"`{decision.layer.name}` ({n_calls[key]} calls)"
        for key, decision in decisions.items()
        if decision.kind == NATIVE
        and decision.converter_class.has_weights
        and n_calls[key] > 1
    ]
    if shared and not converter.split_shared_weights:
        raise ValueError(
            "Layers that are called several times share their weights, which is not "
            "supported unless split_shared_weights=True (every call has weights of its "
            f"own then, which differ once they are trained): {', '.join(shared)}"
        )


def _warn_about_fallbacks(decisions: dict[int, Decision]) -> None:
    lines = [
        f"  {decision.text}; falling back to "
        + ("a TensorNode" if decision.activation is not None else "TensorNode.")
        for decision in decisions.values()
        if decision.kind == FALLBACK or decision.activation is not None
    ]
    if lines:
        text = "\n".join(lines)
        warnings.warn(
            "Some layers of the Keras model are not made of native Nengo objects, so "
            f"that only NengoDL can run them. Falling back to TensorNode.\n{text}"
        )
