"""
Train one network on several devices, or on several machines.

    python docs/recipes/distributed_training.py                    one device
    python docs/recipes/distributed_training.py --devices GPU:0 GPU:1
    python docs/recipes/distributed_training.py --workers          see TF_CONFIG

Prints the losses of all epochs, the loss of an evaluation, and trained biases.
"""

import argparse
import json
from contextlib import nullcontext

import nengo
import numpy as np
import tensorflow as tf

import nengo_dl

# workers on one machine would wait for each other, to read and write the cache
nengo.rc.set("decoder_cache", "enabled", "False")


def make_network():
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.RectifiedLinear()
        stimulus = nengo.Node([0])
        net.ensemble = nengo.Ensemble(
            20,
            1,
            gain=nengo.dists.Choice([1]),
            bias=nengo.dists.Uniform(-1, 1),
        )
        output = nengo.Node(size_in=1)
        nengo.Connection(stimulus, net.ensemble, synapse=0.002)
        nengo.Connection(net.ensemble, output, synapse=None)
        nengo.Probe(output)
    return net


def make_strategy(devices, workers):
    if workers:  # has to be made before anything else of TensorFlow
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices:
        return tf.distribute.MirroredStrategy(devices)
    return None


def train(strategy=None, batch_size=8):
    n_replicas = strategy.num_replicas_in_sync if strategy else 1
    x = np.random.RandomState(0).uniform(-1, 1, (17, 5, 1))
    net = make_network()
    with strategy.scope() if strategy else nullcontext():
        with nengo_dl.Simulator(
            net, minibatch_size=batch_size // n_replicas, seed=0, progress_bar=False
        ) as sim:
            sim.compile(tf.optimizers.SGD(0.03), loss="mse")
            history = sim.fit(x, np.sin(x), epochs=15, shuffle=False, verbose=0)
            return {
                "losses": history.history["loss"],
                "loss": sim.evaluate(x, np.sin(x), verbose=0)["loss"],
                "bias": sim.data[net.ensemble].bias.tolist(),
            }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", nargs="+", help="such as GPU:0 GPU:1")
    parser.add_argument("--workers", action="store_true", help="those of TF_CONFIG")
    parser.add_argument("--cpus", type=int, help="divides the CPU into so many")
    args = parser.parse_args()
    if args.cpus:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * args.cpus,
        )
    print(json.dumps(train(make_strategy(args.devices, args.workers))))
