"""
A network as Nengo GUI runs it.

It adds Python Nodes and Probes to the network of the user, simulates step by step in a
thread, and takes recorded rows away meanwhile. When the text of the user changes, what
it added is removed, and all is built again.
"""

from __future__ import annotations

import threading
from functools import partial

import nengo
import numpy as np
import pytest

import nengo_dl

N_STEPS = 12


class Gui:
    """Components of the user interface, and the network that they belong to."""

    def __init__(self):
        with nengo.Network(seed=0) as self.net:
            nengo_dl.configure_settings(dtype="float64")
            self.stim = nengo.Node([0.5])
            self.ens = nengo.Ensemble(10, 1, seed=1)
            nengo.Connection(self.stim, self.ens)
        self.added, self.sim = [], None

    def slider(self, function):
        """Take control of an input."""
        self.stim.output = function

    def plot_values(self, obj):
        """Return the list to which a new Python Node appends what it gets."""
        values = []
        with self.net:
            node = nengo.Node(lambda t, x: values.append((t, *x)), size_in=1)
            conn = nengo.Connection(obj, node, synapse=0.01)
        self.added += [node, conn]
        return values

    def plot_voltages(self, ens):
        """Return the list of the rows that a new Node takes from a new Probe."""
        voltages = []

        def take(t):
            if self.sim is None:  # Nengo tries the function out
                return
            rows = self.sim.data.raw[probe]
            voltages.extend(np.array(row) for row in rows)
            del rows[:]

        with self.net:
            probe = nengo.Probe(ens.neurons[:3], "voltage")
            node = nengo.Node(take)
        self.added += [probe, node]
        return voltages

    def run(self, simulator):
        """Build, and simulate some steps in a thread."""
        errors = []

        def loop():
            try:
                with simulator(self.net, progress_bar=False) as self.sim:
                    for _ in range(N_STEPS):
                        self.sim.step()
            except Exception as err:
                errors.append(err)

        thread = threading.Thread(target=loop)
        thread.start()
        thread.join()
        assert errors == []

    def remove_components(self):
        for obj in self.added:
            self.net.objects[type(obj)].remove(obj)
        self.added.clear()
        self.sim = None


def session(simulator):
    gui = Gui()
    plots = [gui.plot_values(gui.ens), gui.plot_voltages(gui.ens)]
    gui.slider(lambda t: np.sin(99 * t))
    gui.run(simulator)

    gui.remove_components()
    with gui.net:
        other = nengo.Ensemble(8, 1, neuron_type=nengo.Izhikevich(), seed=2)
        nengo.Connection(gui.ens, other)
    plots += [gui.plot_values(other), gui.plot_voltages(other)]
    gui.slider([-0.5])
    gui.run(simulator)
    return plots


@pytest.fixture(scope="module")
def expected():
    return session(nengo.Simulator)


def test_session(Simulator, expected):
    plots = session(partial(Simulator, unroll_simulation=1))
    for plot, values in zip(plots, expected):
        # (what the last step recorded has not been taken)
        assert len(plot) == len(values) >= N_STEPS - 1
        np.testing.assert_allclose(plot, values, atol=1e-12)
