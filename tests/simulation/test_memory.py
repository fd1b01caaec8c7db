"""
The memory that a simulator takes.

Weights are held once, and stay sparse where they are sparse; nothing is left of a
simulator when it is closed, as of `nengo.Simulator`.
"""

import tracemalloc
import weakref

import nengo
import numpy as np
import pytest

from nengo_dl.benchmarks.worker import peak_mib
from nengo_dl.config import configure_settings
from tests.references import are_freed


class OwnNeurons(nengo.RectifiedLinear):
    def step(self, dt, J, output):
        output[...] = J**2


class OwnProcess(nengo.Process):
    default_size_in = default_size_out = 1

    def make_step(self, shape_in, shape_out, dt, rng, state):
        return lambda t, x: x + 1


def add_node(ens):
    nengo.Connection(ens, nengo.Node(lambda t, x: x, size_in=1))


def add_functions_of_time(ens):
    nengo.Connection(nengo.Node(np.sin), ens)
    nengo.Connection(ens, nengo.Node(lambda t, x: None, size_in=1))


def add_neurons(ens):
    nengo.Connection(ens, nengo.Ensemble(5, 1, neuron_type=OwnNeurons()))


def add_process(ens):
    nengo.Connection(ens, nengo.Node(OwnProcess(), size_in=1))


def add_direct_mode(ens):
    square = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
    nengo.Connection(square, nengo.Node(size_in=1), function=np.square)
    nengo.Connection(ens, square)


def add_noise(ens):
    ens.noise = nengo.processes.WhiteNoise()


def run(sim, probe):
    sim.run_steps(2)


def use_keras(sim, probe):
    x = np.zeros((1, 2, 1))
    sim.compile("sgd", loss={probe: "mse"})
    sim.fit(x, {probe: x}, verbose=0)
    sim.evaluate(x, {probe: x}, verbose=0)
    sim.predict(x, verbose=0)


def fit_generator(sim, probe):
    name = sim.get_name(probe)
    x = np.zeros((1, 2, 1))

    def batches():
        while True:
            yield {"in": x, "n_steps": np.array([[2]])}, {name: x}

    sim.compile("sgd", loss={probe: "mse"})
    sim.fit(batches(), steps_per_epoch=2, verbose=0)


@pytest.mark.training
@pytest.mark.filterwarnings("ignore:Python is called", "ignore:No gradient")
@pytest.mark.parametrize(
    "add, use",
    [
        (add_node, run),
        (add_functions_of_time, run),
        (add_neurons, run),
        (add_process, run),
        (add_direct_mode, run),
        (add_node, use_keras),
        (add_noise, use_keras),
        (add_noise, fit_generator),
    ],
)
def test_nothing_is_left_of_a_closed_simulator(add, use, Simulator):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(5, 1)
        nengo.Connection(nengo.Node([0.0], label="in"), ens)
        probe = nengo.Probe(ens)
        add(ens)
    with Simulator(net, unroll_simulation=1) as sim:
        refs = [weakref.ref(sim.model), weakref.ref(sim.tensor_graph)]
        use(sim, probe)
    del sim
    assert are_freed(refs)


def sparse_transform():
    """Two nonzero weights for every one of 50,000 neurons."""
    n, rng = 50_000, np.random.RandomState(0)
    indices = rng.randint(n, size=(2 * n, 2))
    return nengo.Sparse((n, n), indices=indices, init=rng.uniform(size=2 * n))


def convolution():
    return nengo.Convolution(4, (120, 120, 4), padding="same")


@pytest.mark.parametrize("make", [sparse_transform, convolution])
def test_transforms_are_never_dense(make, Simulator):
    transform = make()
    assert 4 * transform.size_in * transform.size_out > 9 * 1024**3  # bytes
    with nengo.Network(seed=0) as net:
        pre = nengo.Node(np.linspace(0, 1, transform.size_in))
        post = nengo.Node(size_in=transform.size_out)
        nengo.Connection(pre, post, transform=transform, synapse=0.005)
        probe = nengo.Probe(post[::100])
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(5)
    before = peak_mib() or 0
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(5)
        for output in sim.data[probe]:
            np.testing.assert_allclose(output, reference.data[probe], atol=1e-6)
    assert (peak_mib() or 0) - before < 2000


def test_arrays_of_weights(Simulator):
    """NumPy holds the array of the model, and one more for a moment."""
    n = 1500
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float32")
        pre = nengo.Node(np.ones(n))
        post = nengo.Node(size_in=n)
        weights = np.eye(n, dtype="float32")
        nengo.Connection(pre, post, transform=weights, synapse=None)
    Simulator(net).close()  # whatever is held for good
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with Simulator(net):
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 2.7 * weights.nbytes
