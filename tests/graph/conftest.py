import nengo.builder.learning_rules
import nengo.builder.neurons
import nengo.builder.operator
import nengo.builder.probe
import nengo.builder.processes
import nengo.builder.transforms
import pytest
from graph.literal_graphs import (
    LonelyBuilder,
    MergingBuilder,
    Op,
    OtherMergingBuilder,
    OtherOp,
    Stateful,
    Timeless,
)
from nengo.builder.operator import DotInc, Operator, Reset

from nengo_dl.builder import Builder
from nengo_dl.graph import operators


@pytest.fixture
def builders(monkeypatch):
    """Replace all operator builders by ones that merge whatever is alike."""
    modules = [
        nengo.builder.learning_rules,
        nengo.builder.neurons,
        nengo.builder.operator,
        nengo.builder.processes,
        nengo.builder.transforms,
        operators,
    ]
    types = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Operator)
    ]
    registry = {
        cls: type(f"{cls.__name__}Builder", (MergingBuilder,), {}) for cls in types
    }
    registry[nengo.builder.probe.SimProbe] = LonelyBuilder
    registry[Op] = MergingBuilder
    registry[OtherOp] = OtherMergingBuilder
    monkeypatch.setattr(Builder, "builders", registry)
    return registry


@pytest.fixture
def two_kinds(builders):
    """`Op` is timeless, `OtherOp` is not."""
    builders.update({Op: Timeless, OtherOp: Stateful, Reset: Timeless})
    builders[DotInc] = Timeless
