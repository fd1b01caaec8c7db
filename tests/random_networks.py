"""
Random Nengo networks of all object types, for comparing simulators.

In: choices drawn by Hypothesis. Out: networks that `nengo.Simulator` can run. Neuron
types that draw random numbers while they run are no use for comparing what depends on
them; `random_objects` says what does.
"""

from __future__ import annotations

import nengo
from hypothesis import strategies as st
from random_connections import base_of, connections, is_direct, learning_rules
from random_objects import SEEDS, SYNAPSES, ensembles, nodes
from random_parts import parts


@st.composite
def probes(draw, targets):
    """Create a Probe of something that can be probed."""
    obj = draw(st.sampled_from(targets))
    options = {
        "synapse": draw(SYNAPSES),
        "sample_every": draw(st.sampled_from([None, None, 0.002, 0.0035])),
    }
    if isinstance(obj, nengo.Ensemble) and not is_direct(obj) and draw(st.booleans()):
        obj = obj.neurons
    attributes = list(obj.probeable)
    if isinstance(obj, nengo.Connection) and obj.transform is not None:
        # a sparse or convolutional transform has no dense matrix to filter
        if not isinstance(obj.transform, nengo.Dense):
            attributes = [a for a in attributes if a != "weights"]
    if isinstance(obj, nengo.Ensemble) and is_direct(obj):
        attributes = ["decoded_output", "input"]
    return nengo.Probe(obj, draw(st.sampled_from(attributes)), **options)


@st.composite
def networks(draw):
    """Create a network with some of everything, some of it in subnetworks."""
    with nengo.Network(seed=draw(SEEDS)) as net:
        objects = [draw(nodes(draw(st.integers(1, 3))))]
        with nengo.Network() if draw(st.booleans()) else net:
            for _ in range(draw(st.integers(1, 3))):
                objects.append(draw(ensembles(draw(st.integers(1, 3)))))
        if draw(st.integers(0, 2)) == 0:
            objects += draw(parts())
        for _ in range(draw(st.integers(0, 2))):
            objects.append(draw(nodes(draw(st.integers(1, 3)))))
        links = [draw(connections(objects)) for _ in range(draw(st.integers(1, 5)))]
        links = [link for link in links if link is not None]
        rules = [rule for link in links for rule in learning_rules(link)]
        for obj in objects:
            nengo.Probe(obj, synapse=None)
        for _ in range(draw(st.integers(0, 4))):
            draw(probes([*objects, *links, *rules]))
    return net


# -- what depends on random numbers ----------------------------------------------------

RANDOM_SPIKING = (nengo.StochasticSpiking, nengo.PoissonSpiking)


def random_objects(net) -> set:
    """Return the objects whose values depend on numbers drawn while a network runs."""
    found = {e for e in net.all_ensembles if isinstance(e.neuron_type, RANDOM_SPIKING)}
    grown = True
    while grown:
        before = len(found)
        for conn in net.all_connections:
            ends = {owner(conn.pre), owner(conn.post)}
            if owner(conn.pre) in found or (
                conn.learning_rule is not None and ends & found
            ):
                found.add(conn)
            if conn in found:
                found.add(owner(conn.post))
        grown = len(found) > before
    return found


def owner(end):
    """Return the Node, Ensemble or Connection that the end of one belongs to."""
    obj = base_of(end)
    if isinstance(obj, nengo.ensemble.Neurons):
        return obj.ensemble
    if isinstance(obj, nengo.connection.LearningRule):
        return obj.connection
    return obj
