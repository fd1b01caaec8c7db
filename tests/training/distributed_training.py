"""
Train a small network, on one device, on several, or with several workers.

Run by ``test_distributed.py``: prints the losses of all epochs, the losses of an
evaluation, and a trained parameter.
"""

import json
import sys
import warnings
from contextlib import nullcontext

import nengo
import numpy as np
import tensorflow as tf

import nengo_dl

warnings.simplefilter("ignore")
# other versions of NumPy cannot read what is in the cache
nengo.rc.set("decoder_cache", "enabled", "False")


def make_network():
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.RectifiedLinear()
        inp = nengo.Node([0])
        net.ens = nengo.Ensemble(
            20,
            1,
            gain=nengo.dists.Choice([1]),
            bias=nengo.dists.Uniform(-1, 1),
        )
        out = nengo.Node(size_in=1)
        nengo.Connection(inp, net.ens, synapse=0.002)
        nengo.Connection(net.ens, out, synapse=None)
        nengo.Probe(out)
    return net


def train(minibatch_size, strategy=None):
    x = np.random.RandomState(0).uniform(-1, 1, (16, 5, 1))
    net = make_network()
    with strategy.scope() if strategy else nullcontext():
        with nengo_dl.Simulator(
            net, minibatch_size=minibatch_size, progress_bar=False, seed=0
        ) as sim:
            sim.compile(tf.optimizers.SGD(0.03), loss="mse")
            history = sim.fit(x, np.sin(x), epochs=15, shuffle=False, verbose=0)
            return {
                "losses": history.history["loss"],
                "loss": sim.evaluate(x, np.sin(x), verbose=0)["loss"],
                "bias": sim.data[net.ens].bias.tolist(),
            }


if __name__ == "__main__":
    how = sys.argv[1]
    if how == "devices":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
        result = train(4, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    elif how == "workers":
        result = train(4, tf.distribute.MultiWorkerMirroredStrategy())
    else:
        result = train(8)
    print("RESULT", json.dumps(result))
