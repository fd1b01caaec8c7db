"""A network with connections of many kinds, of which everything is known."""

from types import SimpleNamespace

import nengo
import numpy as np
import pytest

from nengo_dl.config import configure_settings
from nengo_dl.efficiency import DEVICES, Device, measure

STEPS, ITEMS = 10, 4
INTO_HIDDEN = np.array([[1, 0], [0.5, 0.2], [0, 0], [0.3, -0.9]])
RECURRENT = nengo.Sparse(
    (4, 4), indices=[[0, 1], [1, 1], [3, 3]], init=[1e-4, 2e-4, -3e-4]
)
CONVOLUTION = nengo.Convolution(1, (4, 1), (3,), (1,), "same", init=np.ones((3, 1, 1)))


def make_network():
    """
    Return a network, and its parts.

    Inputs are those of the attribute ``item`` of ``data``, an array of all items.
    """
    parts = SimpleNamespace(item=0)
    parts.data = np.random.RandomState(1).uniform(-1, 1, (ITEMS, STEPS, 2))
    parts.data[1] = 0

    def value(t):
        step = int(round(t / 0.001)) - 1
        return parts.data[parts.item, max(step, 0)]

    zero = {"voltage": nengo.dists.Choice([0])}
    with nengo.Network(seed=0, label="net") as parts.net:
        configure_settings(dtype="float64", jit_compile=False)
        parts.inp = nengo.Node(value, label="inp")
        parts.hidden = nengo.Ensemble(
            4,
            1,
            neuron_type=nengo.RegularSpiking(
                nengo.Tanh(tau_ref=2e-4), amplitude=0.5, initial_state=zero
            ),
            gain=np.ones(4),
            bias=np.array([0.1, 0, 0, -0.2]),
            label="hidden",
        )
        parts.rates = nengo.Ensemble(
            4,
            1,
            neuron_type=nengo.RectifiedLinear(amplitude=2e-3),
            gain=np.ones(4),
            bias=np.zeros(4),
            label="rates",
        )
        parts.nef = nengo.Ensemble(
            5, 2, neuron_type=nengo.LIF(initial_state=zero), label="nef"
        )
        parts.out = nengo.Node(size_in=2, label="out")
        pairs = {
            "dense": (parts.inp, parts.hidden.neurons, INTO_HIDDEN, None),
            "recurrent": (parts.hidden.neurons, parts.hidden.neurons, RECURRENT, 5e-3),
            "convolution": (
                parts.hidden.neurons,
                parts.rates.neurons,
                CONVOLUTION,
                None,
            ),
            "identity": (parts.rates.neurons[1::2], parts.nef, None, nengo.Alpha(0.01)),
            "decoded": (parts.nef, parts.out, [[1, 0], [0, 0.5]], 5e-3),
        }
        for name, (pre, post, transform, synapse) in pairs.items():
            options = {} if transform is None else {"transform": transform}
            conn = nengo.Connection(pre, post, synapse=synapse, label=name, **options)
            setattr(parts, name, conn)
        parts.probe = nengo.Probe(parts.out, label="probe")
    return parts


@pytest.fixture(scope="session")
def parts():
    return make_network()


@pytest.fixture(scope="session")
def sim(parts, Simulator):
    """Return a simulator that has already run; nothing of it is changed for good."""
    sim = Simulator(parts.net, minibatch_size=2, device="/cpu:0", unroll_simulation=1)
    sim.run_steps(5)
    yield sim
    sim.close()


@pytest.fixture(scope="session")
def report(sim, parts):
    devices = (*DEVICES, Device("mine", 1.0, 2.0, source="me"))
    return measure(sim, {parts.inp: parts.data}, devices=devices)


@pytest.fixture(scope="session")
def oracle(parts):
    """Return what `nengo.Simulator` records of every item, by signal."""
    with parts.net:
        probes = {
            "hidden": nengo.Probe(parts.hidden.neurons),
            "rates": nengo.Probe(parts.rates.neurons),
            "nef": nengo.Probe(parts.nef.neurons),
            "nef_input": nengo.Probe(parts.nef, "input"),
        }
    recorded = {name: [] for name in probes}
    for parts.item in range(ITEMS):
        with nengo.Simulator(parts.net, progress_bar=False) as sim:
            sim.run_steps(STEPS)
        for name, probe in probes.items():
            recorded[name].append(sim.data[probe])
    parts.item = 0
    for probe in probes.values():
        parts.net.probes.remove(probe)
    return {name: np.array(values) for name, values in recorded.items()}
