"""The parts of a step: what they take, and what is compiled."""

import nengo
import numpy as np
import pytest

from nengo_dl import transform_builders
from nengo_dl.builder import BuildConfig, build_model
from nengo_dl.config import Settings
from nengo_dl.execution.parts import make_parts
from nengo_dl.execution.step import Step
from nengo_dl.graph.program import compile_model
from nengo_dl.utils import ErrorBox

SIZE = 3


@pytest.fixture
def make():
    """Returns the parts of a convolution, spiking neurons, and a readout."""
    with nengo.Network(seed=0) as net:
        inp = nengo.Node(np.zeros(36))
        conv = nengo.Convolution(2, (6, 6, 1))
        n_neurons = conv.output_shape.size
        neurons = nengo.Ensemble(n_neurons, 1).neurons
        out = nengo.Node(size_in=2)
        nengo.Connection(inp, neurons, transform=conv, synapse=None)
        nengo.Connection(neurons, out, transform=np.ones((2, n_neurons)))
        nengo.Probe(out)
        nengo.Probe(neurons)
    settings = Settings(minibatch_size=SIZE, layerwise=True)
    program = compile_model(build_model(net, 0.001), settings)

    def make(training, n_at_once=5):
        version = program.version(training)
        config = BuildConfig(False, None, True, np.random.RandomState(0), training)
        step = Step(version, config, ErrorBox(), jit_compile="auto")
        parts = make_parts(step, n_at_once, is_differentiated=training)
        assert [p.is_batch for p in parts] == [s.is_batch for s in version.sections]
        return parts

    return make


def test_what_goes_from_part_to_part(make):
    parts = make(training=False)
    batch, loop, *_ = parts
    assert batch.is_batch and not loop.is_batch
    assert batch.step.signals.minibatch_size == 5 * SIZE
    assert loop.step.signals.minibatch_size == SIZE
    assert set(batch.outputs) & set(loop.inputs)
    assert batch.feeds == [0] and loop.feeds == []
    assert batch.state == [] and loop.state != []
    assert sum(len(part.probes) for part in parts) == 2


def test_state_at_rest_is_nobodys(make):
    batch, *_ = make(training=True)
    neurons = [op for ops in batch.step.program.plan for op in ops if hasattr(op, "J")]
    assert len(neurons) == 1 and neurons[0].state
    assert batch.state == []


@pytest.mark.parametrize("training", [False, True])
def test_batches_are_not_cut_into_programs_in_training(make, training, monkeypatch):
    """Their gradients would be compiled again for all values."""
    batch, *_ = make(training)
    assert batch.step.compiles
    monkeypatch.setattr(transform_builders, "MAX_XLA_ELEMENTS", 0)
    batch, *_ = make(training)
    assert not batch.step.compiles
    is_cut = any(is_program for is_program, _ in batch.step.segments)
    assert is_cut != training
