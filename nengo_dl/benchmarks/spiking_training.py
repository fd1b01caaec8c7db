r"""
Train a feed-forward network of spiking neurons by one library, through its spikes.

In: the name of a library, and sizes. Out: a JSON file with times and losses. Run by
path: ``PYTHON spiking_training.py --help``. This file imports nothing of ours, apart
from `nengo_dl` itself if that is to be measured, as other libraries have environments
of their own.

Everybody trains the same model with the same data, by stochastic gradient descent:
layers of weights and biases with leaky neurons,

.. math::

   v \leftarrow \beta v + J, \qquad s = [v > 1], \qquad v \leftarrow v (1 - s)

and weights as readout, the mean squared error of which is taken over all steps. The
derivative of :math:`s` is replaced by that of an arctangent, :math:`1 / (1 + (\pi
(v - 1))^2)`, and none is taken of the reset. So all losses are the same.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BETA = math.exp(-1 / 20)
"""Decay in a step: a membrane time constant of 20 steps."""

N_BATCHES = 10
"""Batches in an epoch."""

LEARNING_RATE = 0.1

SPIKE_PROBABILITY = 0.1
"""Of each input in each step."""

GAIN = 1.5
"""Times the usual weights, so that neurons spike."""

Epoch = Callable[[], np.ndarray]
"""Trains with all batches once, and returns the mean of their losses."""


@dataclass(frozen=True)
class Task:
    """
    What is trained.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, neurons of each layer, and outputs.
    n_steps : int
        Steps in time.
    minibatch : int
        Minibatch size.
    """

    sizes: tuple[int, ...] = (256, 512, 512, 10)
    n_steps: int = 50
    minibatch: int = 64

    def weights(self) -> list[np.ndarray]:
        """Return the initial weights, (outputs, inputs) arrays."""
        rng = np.random.RandomState(0)
        weights = []
        for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:]):
            limit = GAIN * math.sqrt(6 / (n_in + n_out))
            weights.append(rng.uniform(-limit, limit, (n_out, n_in)))
        return weights

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return spikes and targets, arrays of shape (n_items, n_steps, size)."""
        rng = np.random.RandomState(1)
        shape = (N_BATCHES * self.minibatch, self.n_steps)
        x = rng.uniform(size=(*shape, self.sizes[0])) < SPIKE_PROBABILITY
        y = rng.uniform(size=(*shape, self.sizes[-1]))
        return x.astype("float32"), y.astype("float32")


# --------------------------------------------------------------------------- NengoDL


def leaky_neurons() -> Any:
    """Return the neurons of the model, and make NengoDL know their builder."""
    import nengo
    import tensorflow as tf

    from nengo_dl.neuron_builders import SimNeuronsBuilder, TFNeuronBuilder

    class Leaky(nengo.SpikingRectifiedLinear):
        """Leaky neurons, the input of which is added to the voltage."""

        state = {"voltage": nengo.dists.Choice([0])}

        def step(self, dt: float, J: Any, output: Any, voltage: Any) -> None:
            voltage *= BETA
            voltage += J
            output[...] = (voltage > 1) * (self.amplitude / dt)
            voltage[voltage > 1] = 0

    @tf.custom_gradient
    def spike(x: Any) -> Any:
        return tf.cast(x > 0, x.dtype), lambda dy: dy / (1 + (math.pi * x) ** 2)

    class LeakyBuilder(TFNeuronBuilder):
        """Builds them, with the gradient of the arctangent."""

        spiking = trained_by_step = True

        def step(self, J: Any, dt: Any, voltage: Any) -> tuple[Any, Any]:  # type: ignore[override]
            voltage = BETA * voltage + J
            spikes = spike(voltage - 1)
            return self.alpha * spikes, voltage * (1 - tf.stop_gradient(spikes))

    SimNeuronsBuilder.TF_NEURON_IMPL[Leaky] = LeakyBuilder
    return Leaky(amplitude=0.001)  # spikes of height 1


def network(task: Task, neuron_type: Any) -> Any:
    """Return the model as a Nengo network with attributes ``inp`` and ``p``."""
    import nengo

    *layers, readout = task.weights()
    with nengo.Network(seed=0) as net:
        pre = net.inp = nengo.Node(np.zeros(task.sizes[0]))
        for weights in layers:
            ones, zeros = nengo.dists.Choice([1]), nengo.dists.Choice([0])
            post = nengo.Ensemble(
                len(weights), 1, neuron_type=neuron_type, gain=ones, bias=zeros
            ).neurons
            nengo.Connection(pre, post, transform=weights, synapse=None)
            pre = post
        output = nengo.Node(size_in=len(readout))
        nengo.Connection(pre, output, transform=readout, synapse=None)
        net.p = nengo.Probe(output)
    return net


def train_nengo_dl(task: Task) -> tuple[Epoch, dict[str, str]]:
    """Train by NengoDL."""
    import nengo
    import tensorflow as tf

    import nengo_dl

    net = network(task, leaky_neurons())
    sim = nengo_dl.Simulator(
        net, minibatch_size=task.minibatch, unroll_simulation=1, progress_bar=False
    )
    sim.compile(tf.optimizers.SGD(LEARNING_RATE), loss="mse")
    x, y = task.data()

    def epoch() -> np.ndarray:
        history = sim.fit({net.inp: x}, {net.p: y}, shuffle=False, verbose=0)
        return np.asarray(history.history["loss"][0])

    versions = {"nengo": nengo.__version__, "tensorflow": tf.__version__}
    return epoch, versions


# ------------------------------------------------------------- libraries of PyTorch


def torch_epoch(task: Task, forward: Callable[[Any], Any], parameters: Any) -> Epoch:
    """
    Return a function that trains a model of PyTorch.

    Parameters
    ----------
    task : Task
        What is trained.
    forward : callable
        The model: from (n_steps, minibatch, inputs) to (n_steps, minibatch, outputs).
    parameters : iterable of torch.nn.Parameter
        What is changed.
    """
    import torch

    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE)
    x, y = (
        [
            torch.from_numpy(np.ascontiguousarray(batch.swapaxes(0, 1)))
            for batch in np.split(values, N_BATCHES)
        ]
        for values in task.data()
    )

    def epoch() -> np.ndarray:
        losses = []
        for inputs, targets in zip(x, y):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(forward(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.mean(losses)

    return epoch


def set_weights(task: Task, layers: list[Any]) -> None:
    """Set the initial weights of linear layers, and biases to zero."""
    import torch

    with torch.no_grad():
        for layer, weights in zip(layers, task.weights()):
            layer.weight.copy_(torch.from_numpy(weights))
            if layer.bias is not None:
                layer.bias.zero_()


def train_snntorch(task: Task) -> tuple[Epoch, dict[str, str]]:
    """
    Train by snnTorch.

    Each layer runs over all steps before the next one, as the network allows it:
    its weights are then multiplied with all steps at once, which is faster.
    """
    import snntorch
    import torch

    layers = [
        torch.nn.Linear(n_in, n_out, bias=n_out != task.sizes[-1])
        for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:])
    ]
    set_weights(task, layers)
    gradient = snntorch.surrogate.atan(alpha=2.0)
    leaky = snntorch.Leaky(beta=BETA, spike_grad=gradient, reset_mechanism="zero")

    def forward(x: Any) -> Any:
        for layer in layers[:-1]:
            voltage, spikes = leaky.init_leaky(), []
            for current in layer(x):
                spike, voltage = leaky(current, voltage)
                spikes.append(spike)
            x = torch.stack(spikes)
        return layers[-1](x)

    parameters = [p for layer in layers for p in layer.parameters()]
    versions = {"snntorch": snntorch.__version__, "torch": torch.__version__}
    return torch_epoch(task, forward, parameters), versions


def train_spikingjelly(task: Task) -> tuple[Epoch, dict[str, str]]:
    """Train by SpikingJelly, in its mode of several steps."""
    from importlib.metadata import version

    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    modules: list[Any] = []
    for n_in, n_out in zip(task.sizes[:-1], task.sizes[1:]):
        is_readout = n_out == task.sizes[-1]
        modules.append(layer.Linear(n_in, n_out, bias=not is_readout))
        if not is_readout:
            modules.append(
                neuron.LIFNode(
                    tau=1 / (1 - BETA),
                    decay_input=False,
                    surrogate_function=surrogate.ATan(alpha=2.0),
                    detach_reset=True,
                )
            )
    set_weights(task, modules[::2])
    net = torch.nn.Sequential(*modules)
    functional.set_step_mode(net, "m")

    def forward(x: Any) -> Any:
        functional.reset_net(net)
        return net(x)

    versions = {"spikingjelly": version("spikingjelly"), "torch": torch.__version__}
    return torch_epoch(task, forward, net.parameters()), versions


LIBRARIES = {
    "snntorch": train_snntorch,
    "spikingjelly": train_spikingjelly,
    "nengo_dl": train_nengo_dl,
}


def measure(library: str, task: Task, seconds: float) -> dict[str, Any]:
    """
    Measure the time that training takes for each batch.

    Parameters
    ----------
    library : str
        Key in `LIBRARIES`.
    task : Task
        What is trained.
    seconds : float
        How long the timed epochs are to last.

    Returns
    -------
    figures : dict
        Times in ms, elapsed and of the processor; the mean losses of the first two
        epochs, which are not timed; versions.
    """
    epoch, versions = LIBRARIES[library](task)
    start = time.perf_counter()
    losses = [float(epoch())]
    first_s = time.perf_counter() - start

    start = time.perf_counter()
    losses.append(float(epoch()))
    n_epochs = max(1, round(seconds / (time.perf_counter() - start)))
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(n_epochs):
        epoch()
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    n_batches = n_epochs * N_BATCHES
    return {
        "ms_per_batch": 1e3 * elapsed / n_batches,
        "cpu_ms_per_batch": 1e3 * cpu / n_batches,
        "n_batches": n_batches,
        "first_s": first_s,
        "losses": losses,
        "versions": versions,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train by one library.")
    add = parser.add_argument
    add("--library", choices=LIBRARIES, required=True)
    add("--sizes", type=int, nargs="+", default=list(Task.sizes))
    add("--steps", type=int, default=Task.n_steps)
    add("--minibatch", type=int, default=Task.minibatch)
    add("--seconds", type=float, default=1.5)
    add("--result", required=True, help="JSON file for the figures")
    args = parser.parse_args()
    task = Task(tuple(args.sizes), args.steps, args.minibatch)
    figures = measure(args.library, task, args.seconds)
    Path(args.result).write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
