"""
What Loihi does not allow of a network.

In: a network. Out: the reasons for which NengoLoihi would refuse it, or run it off the
chip. NengoLoihi itself is not needed.
"""

from __future__ import annotations

import nengo
import numpy as np
from nengo.transforms import Convolution, ConvolutionTranspose

from nengo_dl.converter.calibration.rescaling import gain_and_bias
from nengo_dl.neurons import IntegrateAndFire
from nengo_dl.tensor_node import TensorNode

# Neuron types of the chip, and types that NengoLoihi rounds to these.
SUPPORTED = ("LIF", "SpikingRectifiedLinear", "LoihiLIF", "LoihiSpikingRectifiedLinear")


def loihi_issues(net: nengo.Network) -> list[str]:
    """
    Say what Loihi does not allow.

    Parameters
    ----------
    net : nengo.Network
        The network.

    Returns
    -------
    issues : list of str
        One sentence for each kind.
    """
    issues = []
    nodes = [node for node in net.all_nodes if isinstance(node, TensorNode)]
    if nodes:
        issues.append(f"TensorNodes run in NengoDL only: {_labels(nodes)}")
    others = [
        ensemble
        for ensemble in net.all_ensembles
        if type(ensemble.neuron_type).__name__ not in SUPPORTED
    ]
    for name in sorted({type(e.neuron_type).__name__ for e in others}):
        same = [e for e in others if type(e.neuron_type).__name__ == name]
        remedy = "choose `nengo.SpikingRectifiedLinear`"
        if name == IntegrateAndFire.__name__:
            remedy += ", as spikes of the chip are positive, and there is one in a step"
        issues.append(f"neurons of type {name} in {_labels(same)}: {remedy}")
    issues += _unequal_gains(net)
    transposed = [
        conn
        for conn in net.all_connections
        if isinstance(conn.transform, ConvolutionTranspose)
        or getattr(conn.transform, "groups", 1) > 1
    ]
    if transposed:
        issues.append(
            f"transposed and grouped convolutions into {_targets(transposed)}"
        )
    return issues


def _unequal_gains(net: nengo.Network) -> list[str]:
    """Name the populations that get convolutions, and have more than one gain."""
    found = []
    for conn in net.all_connections:
        post = conn.post_obj
        if isinstance(conn.transform, Convolution) and isinstance(
            post, nengo.ensemble.Neurons
        ):
            gain = gain_and_bias(post.ensemble)[0]
            if np.ptp(gain) > 0:
                found.append(post.ensemble)
    if not found:
        return []
    return [
        "convolutions into neurons with different gains, which thresholds per channel "
        f"are: {_labels(found)}"
    ]


def _labels(objects: list) -> str:
    return ", ".join(str(obj.label) for obj in objects)


def _targets(connections: list[nengo.Connection]) -> str:
    return ", ".join(sorted({str(conn.post_obj) for conn in connections}))
