# %% [markdown]
# # NengoDL for users of Nengo
#
# NengoDL runs the networks that you have, unchanged. This page starts with that, and
# goes on to what Nengo alone does not do: many inputs at once, and networks whose
# parameters are trained on examples, as in deep learning.
#
# The page is a script in cells. Run it with `python`, or cell by cell in an editor that
# knows the `# %%` format (Jupyter with Jupytext, VS Code, Spyder).

# %%
import matplotlib.pyplot as plt
import nengo
import numpy as np
import tensorflow as tf

import nengo_dl

# %% [markdown]
# ## A network
#
# Two ensembles compute sin(x²), one the square and the other the sine. They have only
# 20 neurons each, so that there is something to improve later on. All connections get
# the same `synapse`, because we are going to need the network with filters and without.
#
# The two lines about what is `trainable` are for later; without them this is a network
# of Nengo like any other.


# %%
def make_network(synapse):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(trainable=None)
        net.config[nengo.Connection].trainable = False
        net.config[nengo.Connection].synapse = synapse

        net.x = nengo.Node(nengo.processes.WhiteSignal(1.0, high=2, rms=0.5), label="x")
        net.square = nengo.Ensemble(20, 1, label="square")
        net.sine = nengo.Ensemble(20, 1, label="sine")
        net.y = nengo.Node(size_in=1, label="y")
        nengo.Connection(net.x, net.square)
        nengo.Connection(net.square, net.sine, function=np.square)
        nengo.Connection(net.sine, net.y, function=np.sin)

        net.input_probe = nengo.Probe(net.x, label="input")
        net.output = nengo.Probe(net.y, label="output")
        net.filtered = nengo.Probe(net.y, synapse=0.02, label="filtered")
    return net


def function(x):
    return np.sin(x**2)


net = make_network(synapse=0.01)

# %% [markdown]
# ## The only line that changes
#
# First Nengo's own simulator, then ours. Both use the seeds of the network: they
# simulate the same neurons with the same input. NengoDL computes with 32-bit floating
# point numbers unless told otherwise (`nengo_dl.configure_settings(dtype="float64")`),
# so that now and then a spike comes one step earlier or later. (If there is no GPU, a
# warning says so; `device="/cpu:0"` as an argument of the simulator silences it.)

# %%
with nengo.Simulator(net) as sim:
    sim.run(0.5)
    from_nengo = sim.data[net.filtered]

with nengo_dl.Simulator(net) as sim:
    sim.run(0.5)
    from_nengo_dl = sim.data[net.filtered]

plt.figure()
plt.plot(sim.trange(), function(sim.data[net.input_probe]), color="0.7", label="ideal")
plt.plot(sim.trange(), from_nengo, label="Nengo")
plt.plot(sim.trange(), from_nengo_dl, "--", label="NengoDL")
plt.xlabel("time (s)")
plt.legend()

# %% [markdown]
# ## Many inputs at once
#
# `minibatch_size` is the number of copies of the network that run side by side, each
# with its own input and its own state; they share all parameters. Recorded data get one
# more axis, the first: `(minibatch_size, n_steps, size)`.
#
# `data` replaces the output of Nodes for one run. Its arrays have the same three axes.
# Nodes that are left out run as always.

# %%
ramps = np.linspace(0, [1.0, 0.7, -0.4], 300).T[:, :, None]
print("input:", ramps.shape)

with nengo_dl.Simulator(net, minibatch_size=3) as sim:
    sim.run_steps(300, data={net.x: ramps})

print("output:", sim.data[net.filtered].shape)

plt.figure()
for ramp, output in zip(ramps, sim.data[net.filtered]):
    (line,) = plt.plot(sim.trange(), output)
    plt.plot(sim.trange(), function(ramp), "--", color=line.get_color())
plt.xlabel("time (s)")

# %% [markdown]
# ## State
#
# A simulation goes on where the last `run` ended: voltages, filters and the time are
# kept, until `sim.reset()`. The methods that you may know from Keras, `predict`,
# `evaluate` and `fit`, do not touch the running simulation: each of their minibatches
# starts from its present state, and what they change is dropped at the end. Pass
# `stateful=True` to make them go on like `run`, or `stateful=False` to `run_steps` to
# make it forget.
#
# `predict` takes any number of items (a multiple of the minibatch), and returns the
# arrays by Probe instead of adding them to `sim.data`.

# %%
with nengo_dl.Simulator(net, minibatch_size=3) as sim:
    sim.run_steps(100)
    sim.run_steps(100)
    n_steps_of_runs = sim.n_steps

    predicted = sim.predict({net.x: np.concatenate([ramps, ramps])}, verbose=0)
    n_steps_after_predict = sim.n_steps

print("steps:", n_steps_of_runs, "and after predict", n_steps_after_predict)
print("predicted:", predicted[net.filtered].shape)

# %% [markdown]
# ## Training: for what, and how
#
# Nengo finds decoders by least squares, one connection at a time, for encoders and
# biases that it has drawn at random. Training improves all parameters together, for the
# task as a whole, by gradient descent: it needs examples of inputs and outputs, and a
# loss that says how far off the network is.
#
# **What is trained.** By default encoders, biases and connection weights, except those
# that a learning rule modifies. `nengo_dl.configure_settings(trainable=...)` adds the
# option `trainable` to the config of a network, where it is set for types or for single
# objects; None leaves the decision to NengoDL. `make_network` excluded the connections.
# Their weights (the decoders) are a thousand times smaller than encoders and biases; an
# optimizer that changes all by steps of about the same size would wreck them.
#
# **Rates for spikes.** A spike is there or not; there is no gradient. In `fit`, spiking
# neurons are replaced by their rate versions (`LIF` by `LIFRate`), which output the
# firing rate as a number. All other methods, `evaluate` included, use the spikes.
#
# **One step is enough.** A rate does not have to be averaged over time: without
# synapses, it says everything in the first step. So we train a network without synapses
# on items of a single step, which is much faster than simulating hundreds of steps, and
# put the filters back afterwards. (With synapses, one step lets hardly anything
# through, and NengoDL warns. Networks that have to learn something about time are
# trained on items of many steps, through all of them.)
#
# Training data have the shape `(n_items, n_steps, size)`, even if a size is 1.

# %%
rng = np.random.RandomState(0)
train_x = rng.uniform(-1, 1, size=(2048, 1, 1))
train_y = function(train_x)

net = make_network(synapse=None)
with nengo_dl.Simulator(net, minibatch_size=32, seed=0) as sim:
    sim.compile(optimizer=tf.optimizers.Adam(0.01), loss={net.output: "mse"})
    history = sim.fit({net.x: train_x}, {net.output: train_y}, epochs=12, verbose=0)
    sim.save_params("sin_of_square")

losses = history.history["loss"]
print(f"loss of the first epoch {losses[0]:.1e}, of the last {losses[-1]:.1e}")

plt.figure()
plt.semilogy(losses)
plt.xlabel("epoch")
plt.ylabel("mean squared error")

# %% [markdown]
# `compile` gets an optimizer of Keras, and a loss for each Probe that is to be trained:
# the name of a loss, a `keras.losses.Loss`, or a function of targets and outputs.
# `history.history` has the total loss, and that of each Probe as `<probe>_loss`. The
# order of the items is shuffled in every epoch.
#
# ## Does it spike as well?
#
# What counts is the error with spikes. For this we want the network with synapses.
# `save_params` has written the file `sin_of_square.npz`, which says which parameter
# belongs to which object; `load_params` reads it into any network of the same objects,
# whatever their synapses or neuron types are.
#
# The test data have inputs that are not in the training data, shown for 150 steps. The
# filters take time to settle, so the loss looks at the last 50. It is a function of
# targets and outputs, both `(minibatch_size, n_steps, size)`.


# %%
def error_at_the_end(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_true[:, -50:] - y_pred[:, -50:]))


test_x = np.repeat(rng.uniform(-1, 1, size=(256, 1, 1)), 150, axis=1)
test_y = function(test_x)

spiking = make_network(synapse=0.01)
with nengo_dl.Simulator(spiking, minibatch_size=128, seed=0) as sim:
    sim.compile(loss={spiking.filtered: error_at_the_end})
    data = {spiking.x: test_x}, {spiking.filtered: test_y}
    before = sim.evaluate(*data, verbose=0)["loss"]
    outputs_before = sim.predict({spiking.x: test_x}, verbose=0)[spiking.filtered]

    sim.load_params("sin_of_square")
    after = sim.evaluate(*data, verbose=0)["loss"]
    outputs_after = sim.predict({spiking.x: test_x}, verbose=0)[spiking.filtered]

print(f"error of the spiking network before training {before:.1e}, after {after:.1e}")

plt.figure()
plt.plot(test_x[:, -1], outputs_before[:, -1], ".", label="before training")
plt.plot(test_x[:, -1], outputs_after[:, -1], ".", label="after training")
order = np.argsort(test_x[:, -1, 0])
plt.plot(test_x[order, -1], test_y[order, -1], color="0.3", label="sin(x²)")
plt.legend()

# %% [markdown]
# The training saw rates and no filters, and the spiking network gains from it. How much
# it gains depends on how well rates describe the spikes: high firing rates and synapses
# that are not too short help.
#
# ## Back to Nengo
#
# `freeze_params` writes the parameters of a simulator into the objects of its network.
# From then on they are part of the network, for every simulator: here it is
# `nengo.Simulator` that runs the trained network. (`get_nengo_params` returns the same
# values as keyword arguments, for networks that you build anew.)

# %%
with nengo_dl.Simulator(spiking) as sim:
    sim.load_params("sin_of_square")
    sim.run(0.5)
    trained_in_nengo_dl = sim.data[spiking.filtered]
    sim.freeze_params(spiking)

with nengo.Simulator(spiking) as sim:
    sim.run(0.5)
    trained_in_nengo = sim.data[spiking.filtered]

plt.figure()
plt.plot(
    sim.trange(), function(sim.data[spiking.input_probe]), color="0.7", label="ideal"
)
plt.plot(sim.trange(), trained_in_nengo, label="Nengo, trained parameters")
plt.plot(sim.trange(), trained_in_nengo_dl, "--", label="NengoDL")
plt.xlabel("time (s)")
plt.legend()

# %% [markdown]
# ## Functions of your own
#
# A Node may call any Python function. In NengoDL this has a price: in each step,
# TensorFlow has to hand over to Python, for one item of the minibatch after another,
# and no gradient comes back. (Nodes without input cost little: they are computed before
# the simulation starts.)
#
# A `nengo_dl.TensorNode` calls a function of TensorFlow instead, which is compiled with
# the rest of the network, and differentiated with it. The function gets the time as a
# number and the input of the whole minibatch at once, `(minibatch_size, size)`.

# %%
with nengo.Network(seed=0) as functions:
    stimulus = nengo.Node(lambda t: np.sin(20 * t))
    in_python = nengo.Node(lambda t, x: np.exp(x), size_in=1)
    in_tensorflow = nengo_dl.TensorNode(lambda t, x: tf.exp(x), shape_in=(1,))
    nengo.Connection(stimulus, in_python)
    nengo.Connection(stimulus, in_tensorflow)
    python_probe = nengo.Probe(in_python, synapse=0.01)
    tensorflow_probe = nengo.Probe(in_tensorflow, synapse=0.01)

with nengo_dl.Simulator(functions, minibatch_size=8) as sim:
    sim.run(0.2)

difference = np.abs(sim.data[python_probe] - sim.data[tensorflow_probe]).max()
print(f"largest difference: {difference:.1e}")

# %% [markdown]
# A TensorNode can also hold a layer of Keras, or a whole Keras model, with weights that
# are trained along. That is the subject of `from_tensorflow.py`, next to this file.
