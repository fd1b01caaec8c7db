"""Networks whose outputs, losses, and gradients are known without a simulator."""

import nengo

import nengo_dl


def linear_network(synapse=None, **settings):
    """One weight between a Node and a probed Node."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(**settings)
        net.a = nengo.Node([1.0], label="a")
        net.b = nengo.Node(size_in=1, label="b")
        net.conn = nengo.Connection(net.a, net.b, transform=0.5, synapse=synapse)
        net.probe = nengo.Probe(net.b)
    return net


def two_probes():
    """Two Nodes, each straight to a Probe."""
    with nengo.Network(seed=0) as net:
        net.inputs = [nengo.Node([0.0], label=name) for name in "ab"]
        net.outputs = [nengo.Probe(node) for node in net.inputs]
    return net
