"""What gradients through a simulation consist of."""

import tensorflow as tf


def operations(graph, n_steps):
    """Return the types of all operations, for a network with one input and output."""

    @tf.function(autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, outputs = graph.simulate([x, [[n_steps]]], training=True)
        return tape.gradient(outputs[0], x)

    spec = tf.TensorSpec((1, n_steps, 1), graph.step.signals.dtype)
    traced = gradients.get_concrete_function(spec).graph.as_graph_def()
    return [node.op for f in traced.library.function for node in f.node_def]
