# %% [markdown]
# # NengoDL for users of TensorFlow
#
# NengoDL adds to Keras what Nengo is about: neurons that live in time, many of them
# spiking, and networks that need not be sequences of layers. This page builds one model
# twice, in Keras and in Nengo, trains both in the same way, and then goes on to time,
# spikes, and Keras layers inside of Nengo networks.
#
# The page is a script in cells. Run it with `python`, or cell by cell in an editor that
# knows the `# %%` format (Jupyter with Jupytext, VS Code, Spyder).

# %%
import keras
import matplotlib.pyplot as plt
import nengo
import numpy as np
import tensorflow as tf
from nengo.utils.matplotlib import rasterplot
from sklearn.datasets import load_digits

import nengo_dl

# %% [markdown]
# ## Data
#
# The handwritten digits that come with scikit-learn have 8 × 8 pixels. We enlarge each
# pixel threefold and add a margin, which makes images of 28 × 28, flattened to vectors
# of 784 pixels with values from 0 to 1.

# %%
digits = load_digits().images / 16
digits = np.kron(digits, np.ones((3, 3)))
digits = np.pad(digits, ((0, 0), (2, 2), (2, 2)))
digits = digits.reshape(len(digits), 784).astype("float32")
train_images, test_images = digits[:1500], digits[1500:1750]

print("training:", train_images.shape, "test:", test_images.shape)

# %% [markdown]
# ## One model, twice
#
# An autoencoder squeezes images through a few units, and tries to recover them. In
# Keras, with 64 units in between:

# %%
inputs = keras.Input((784,))
encode = keras.layers.Dense(64, activation="relu")
decode = keras.layers.Dense(784, activation="relu")
keras_model = keras.Model(inputs, decode(encode(inputs)))

# %% [markdown]
# In Nengo, the parts of a dense layer are objects of their own:
#
# | Keras | Nengo |
# |---|---|
# | `Input` | `Node` without input |
# | weights of a layer | `Connection`, with the weights as its `transform` |
# | biases and activation function | the `neurons` of an `Ensemble` |
# | output of the model | `Probe`, on anything that you want to see or to train |
#
# Ensembles also have dimensions, encoders and gains, which belong to Nengo's own way to
# make networks (see the end of this page). Whoever connects to `ensemble.neurons`
# bypasses them: what remains is `activation(gain * input + bias)`. With gains of 1 and
# biases of 0 to begin with, this is the dense layer. Synapses are filters in time,
# which a model without time has no use for.

# %%
with nengo.Network(seed=0) as net:
    net.config[nengo.Ensemble].neuron_type = nengo.RectifiedLinear()
    net.config[nengo.Ensemble].gain = nengo.dists.Choice([1])
    net.config[nengo.Ensemble].bias = nengo.dists.Choice([0])
    net.config[nengo.Connection].transform = nengo_dl.dists.Glorot()
    net.config[nengo.Connection].synapse = None

    image = nengo.Node(np.zeros(784), label="image")
    hidden = nengo.Ensemble(64, 1).neurons
    output = nengo.Ensemble(784, 1).neurons
    encoding = nengo.Connection(image, hidden)
    decoding = nengo.Connection(hidden, output)
    probe = nengo.Probe(output, label="output")

# %% [markdown]
# ## The time axis
#
# `nengo_dl.Simulator` compiles the network. Its methods `compile`, `fit`, `evaluate`
# and `predict` are those of Keras, with two differences.
#
# - The batch size is fixed, when the simulator is created: `minibatch_size`. The number
#   of items must be a multiple of it.
# - Everything has a time axis: arrays have the shape `(n_items, n_steps, size)`. One
#   step (`n_steps` of 1) is enough for this network: there is nothing in it that
#   develops in time.
#
# Inputs and targets are dictionaries by Node and Probe, or single arrays if there is
# only one; `predict` returns a dictionary by Probe.
#
# We copy the initial weights from Nengo to Keras. `sim.data` has the present values of
# all parameters; weights are `(size_out, size_in)`, the transpose of what Keras has.

# %%
train_data, test_data = train_images[:, None, :], test_images[:, None, :]

sim = nengo_dl.Simulator(net, minibatch_size=50, seed=0)
encode.set_weights([sim.data[encoding].weights.T, sim.data[hidden.ensemble].bias])
decode.set_weights([sim.data[decoding].weights.T, sim.data[output.ensemble].bias])

keras_before = keras_model.predict(test_images, verbose=0)
nengo_before = sim.predict(test_data, verbose=0)[probe]

print("Keras:", keras_before.shape, "Nengo:", nengo_before.shape)
print(f"largest difference: {np.abs(keras_before - nengo_before[:, 0]).max():.1e}")

# %% [markdown]
# ## Training
#
# Both models get the same optimizer, loss and batches (that is why they are not
# shuffled here). The weights of Connections and the biases of neurons are trained;
# gains are not. Losses are given by Probe, and a network may have many: the total loss
# is their sum, weighted by `loss_weights`.

# %%
keras_model.compile(optimizer=tf.optimizers.RMSprop(1e-3), loss="mse")
keras_model.fit(
    train_images, train_images, batch_size=50, epochs=2, shuffle=False, verbose=0
)
keras_loss = keras_model.evaluate(test_images, test_images, verbose=0)

sim.compile(optimizer=tf.optimizers.RMSprop(1e-3), loss={probe: "mse"})
untrained_loss = sim.evaluate(test_data, {probe: test_data}, verbose=0)["loss"]
sim.fit(train_data, {probe: train_data}, epochs=2, shuffle=False, verbose=0)
nengo_loss = sim.evaluate(test_data, {probe: test_data}, verbose=0)["loss"]

print(f"before training {untrained_loss:.4f}")
print(f"Keras {keras_loss:.4f}, Nengo {nengo_loss:.4f}")

# %% [markdown]
# They do the same. With more epochs, so that there is something to see:

# %%
history = sim.fit(train_data, {probe: train_data}, epochs=20, verbose=0)
final_loss = sim.evaluate(test_data, {probe: test_data}, verbose=0)["loss"]
reconstructed = sim.predict(test_data, verbose=0)[probe][:, 0]

fig, axes = plt.subplots(2, 5, figsize=(7, 3))
for column, original, copy in zip(axes.T, test_images, reconstructed):
    column[0].imshow(original.reshape(28, 28), cmap="gray_r")
    column[1].imshow(copy.reshape(28, 28), cmap="gray_r")
for ax in axes.flat:
    ax.axis("off")

# %% [markdown]
# ## Parameters in files, and in Nengo
#
# `save_params` writes all parameters into an `.npz` file, `load_params` reads them.
# `freeze_params` writes them into the objects of the network. From then on the network
# is a trained one, for any simulator, such as that of Nengo, which knows nothing of
# TensorFlow.

# %%
sim.save_params("autoencoder")
sim.reset()  # back to the initial parameters
reset_loss = sim.evaluate(test_data, {probe: test_data}, verbose=0)["loss"]
sim.load_params("autoencoder")
loaded_loss = sim.evaluate(test_data, {probe: test_data}, verbose=0)["loss"]
print(f"after reset {reset_loss:.4f}, after loading {loaded_loss:.4f}")

sim.freeze_params(net)
sim.close()

image.output = test_images[0]
with nengo.Simulator(net) as reference:
    reference.run_steps(1)
    from_nengo = reference.data[probe]

print(f"largest difference: {np.abs(from_nengo[0] - reconstructed[0]).max():.1e}")

# %% [markdown]
# A simulator that is not closed keeps its memory, so it is best created in a `with`
# block, as below, unless several cells need it.
#
# ## Neurons in time
#
# Nengo's neurons are not only activation functions; many have a state that develops
# from step to step. `SpikingRectifiedLinear` integrates its input, and emits a spike
# whenever the sum reaches 1: it fires at the rate that `RectifiedLinear` outputs as a
# number. Here is one ensemble of either kind, with equal seeds and so equal parameters,
# for a sine wave over 1000 steps of a millisecond. A spike has the value 1 / dt = 1000
# in one step, so that its integral is 1.

# %%
with nengo.Network(seed=0) as neurons:
    stimulus = nengo.Node(lambda t: np.sin(2 * np.pi * t))
    rates = nengo.Ensemble(10, 1, neuron_type=nengo.RectifiedLinear(), seed=1)
    spikes = nengo.Ensemble(10, 1, neuron_type=nengo.SpikingRectifiedLinear(), seed=1)
    nengo.Connection(stimulus, rates, synapse=None)
    nengo.Connection(stimulus, spikes, synapse=None)
    rates_probe = nengo.Probe(rates.neurons)
    spikes_probe = nengo.Probe(spikes.neurons)

with nengo_dl.Simulator(neurons) as sim:
    sim.run_steps(1000)

fig, axes = plt.subplots(2, 1, sharex=True)
axes[0].plot(sim.trange(), sim.data[rates_probe])
axes[0].set_ylabel("firing rate (Hz)")
rasterplot(sim.trange(), sim.data[spikes_probe], ax=axes[1])
axes[1].set_ylabel("neuron")
axes[1].set_xlabel("time (s)")

# %% [markdown]
# A lowpass filter averages spikes over time, and gets the rates back, a bit late and
# with ripples. In a network such a filter is called a synapse, and is an argument of
# Connections and Probes: `nengo.Probe(spikes.neurons, synapse=0.05)`. Here we filter
# what has been recorded.

# %%
lowpass = nengo.Lowpass(0.05)
filtered_spikes = lowpass.filt(sim.data[spikes_probe])
filtered_rates = lowpass.filt(sim.data[rates_probe])

plt.figure()
plt.plot(sim.trange(), filtered_rates, color="0.7")
plt.plot(sim.trange(), filtered_spikes, lw=1)
plt.xlabel("time (s)")
plt.ylabel("filtered firing rate (Hz)")

# %% [markdown]
# Spikes have no gradient, so `fit` replaces spiking neurons by their rate versions.
# `evaluate`, `predict` and `run_steps` simulate the spikes. Usually a network is
# trained on rates, with a single step and without synapses, and then run for many
# steps, with synapses that average; `from_nengo.py`, next to this file, does that.
#
# `run_steps` continues where the last call ended, and collects what Probes record in
# `sim.data`; `fit`, `evaluate` and `predict` start every minibatch from the present
# state and change nothing of it, unless they are called with `stateful=True`. (That is
# the state of neurons and synapses; trained parameters are kept, of course.)
#
# ## Keras layers in Nengo networks
#
# `nengo_dl.Layer` applies a Keras layer, a function of TensorFlow, or a neuron type to
# a Nengo object. What it returns is again a Nengo object, to be connected or probed.

# %%
with nengo.Network(seed=0) as layers:
    pixels = nengo.Node(np.zeros(784))
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    x = nengo_dl.Layer(keras.layers.Dense(32))(pixels)
    x = nengo_dl.Layer(nengo.RectifiedLinear())(
        x, gain=nengo.dists.Choice([1]), bias=nengo.dists.Choice([0])
    )
    x = nengo_dl.Layer(normalization)(x)
    x = nengo_dl.Layer(keras.layers.Dense(784, activation="relu"))(x)
    layers_probe = nengo.Probe(x)

with nengo_dl.Simulator(layers, minibatch_size=50, seed=0) as sim:
    sim.compile(optimizer=tf.optimizers.RMSprop(1e-3), loss="mse")
    layers_before = sim.evaluate(test_data, test_data, verbose=0)["loss"]
    sim.fit(train_data, train_data, epochs=2, verbose=0)
    layers_after = sim.evaluate(test_data, test_data, verbose=0)["loss"]

moving_mean = normalization.moving_mean.numpy()
print(f"before training {layers_before:.4f}, after {layers_after:.4f}")
print("the first moving averages:", moving_mean[:3])

# %% [markdown]
# The weights are those of the layer object, also after training. Layers behave as in
# Keras: in `fit`, batch normalization uses the statistics of the batch and updates its
# moving averages, elsewhere it uses those.
#
# `Layer` is short for a `TensorNode` and a Connection to it, which is not trained. In
# the long form, the shape of a single item has to be given; `pass_time=False` because
# the layer takes no time as its first argument.

# %%
with nengo.Network(seed=0) as long_form:
    vector = nengo.Node([1.0, 2.0, 3.0])
    doubled = nengo_dl.TensorNode(
        keras.layers.Rescaling(2.0), shape_in=(3,), pass_time=False
    )
    nengo.Connection(vector, doubled, synapse=None)
    long_probe = nengo.Probe(doubled)

    short_probe = nengo.Probe(nengo_dl.Layer(keras.layers.Rescaling(2.0))(vector))

with nengo_dl.Simulator(long_form) as sim:
    sim.run_steps(3)
    recorded_long, recorded_short = sim.data[long_probe], sim.data[short_probe]

print(recorded_long[-1], recorded_short[-1])

# %% [markdown]
# A function in a `TensorNode` gets the time in seconds, a number, and the inputs of a
# minibatch, `(minibatch_size, *shape_in)`. It is called when the TensorFlow graph is
# built, and not in every step: to look at values while the network runs, use `tf.print`
# instead of `print`.


# %%
def rotate(t, x):
    angle = 2 * np.pi * t
    tf.print("time", t, summarize=2)
    matrix = [[tf.cos(angle), tf.sin(angle)], [-tf.sin(angle), tf.cos(angle)]]
    return tf.matmul(x, tf.convert_to_tensor(matrix))


with nengo.Network(seed=0) as turning:
    point = nengo.Node([1.0, 0.0])
    rotated = nengo_dl.TensorNode(rotate, shape_in=(2,), shape_out=(2,))
    nengo.Connection(point, rotated, synapse=None)
    rotated_probe = nengo.Probe(rotated)

with nengo_dl.Simulator(turning, dt=0.125) as sim:
    turned = sim.predict(n_steps=8, verbose=0)[rotated_probe]

print(turned.round(2))

# %% [markdown]
# Layers of your own are written as for Keras; their weights are trained with the rest
# of the network. This one learns a factor.


# %%
class Scale(keras.layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return self.factor * x


scale = Scale()
with nengo.Network(seed=0) as scaling:
    number = nengo.Node([0.0])
    nengo.Probe(nengo_dl.Layer(scale)(number))

x = np.linspace(-1, 1, 200)[:, None, None]
with nengo_dl.Simulator(scaling, minibatch_size=10, seed=0) as sim:
    sim.compile(optimizer=tf.optimizers.SGD(0.1), loss="mse")
    sim.fit(x, 3 * x, epochs=10, verbose=0)

learned_factor = float(scale.factor.numpy())
print(f"learned factor: {learned_factor:.3f}")

# %% [markdown]
# ## What else Nengo does
#
# Networks need not be trained at all. An ensemble represents a vector by the activity
# of its neurons, and a Connection computes a function of it, with weights that Nengo
# finds by least squares when the network is built. Here neurons that leak, spike and
# rest after a spike (`nengo.LIF`, the default) compute a square; the same network runs
# in NengoDL and in Nengo. Training starts from there, if you want it to.

# %%
with nengo.Network(seed=0) as nef:
    stimulus = nengo.Node(lambda t: np.sin(2 * np.pi * t))
    a = nengo.Ensemble(100, 1)
    b = nengo.Ensemble(100, 1)
    nengo.Connection(stimulus, a)
    nengo.Connection(a, b, function=np.square)
    nef_probe = nengo.Probe(b, synapse=0.02)

with nengo_dl.Simulator(nef) as sim:
    sim.run_steps(1000)
    square = sim.data[nef_probe]

with nengo.Simulator(nef) as reference:
    reference.run_steps(1000)
    reference_square = reference.data[nef_probe]

plt.figure()
plt.plot(sim.trange(), np.sin(2 * np.pi * sim.trange()) ** 2, color="0.7")
plt.plot(sim.trange(), square, label="NengoDL")
plt.plot(sim.trange(), reference_square, "--", label="Nengo")
plt.xlabel("time (s)")
plt.legend()
