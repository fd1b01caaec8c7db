"""Networks as compiled Keras layers, without a simulator around them."""

from nengo_dl.builder import build_model
from nengo_dl.tensor_graph import TensorGraph


def make_graph(net, minibatch_size=3, **kwargs):
    """Return the built `TensorGraph` of a network."""
    graph = TensorGraph(
        build_model(net, 0.001), 0.001, 1, minibatch_size, None, **kwargs
    )
    graph.build()
    return graph
