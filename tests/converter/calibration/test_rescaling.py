import nengo
import numpy as np
import pytest
from nengo.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
)
from scipy.sparse import csr_matrix

import nengo_dl
from nengo_dl.converter.calibration.rescaling import apply, scaled
from nengo_dl.converter.calibration.sites import find_sites
from nengo_dl.converter.calibration.spikes import Population

RNG = np.random.RandomState(0)
SHAPE = (4, 4, 6)


def per_channel(channels_last):
    factors = np.broadcast_to(np.arange(1.0, 7), SHAPE)
    return (factors if channels_last else np.moveaxis(factors, -1, 0)).ravel()


def convolution(cls, channels_last, groups=1):
    shape = SHAPE if channels_last else (6, 4, 4)
    kernel = RNG.normal(size=(3, 3, 6 // groups, 4))
    kwargs = {} if groups == 1 else {"groups": groups}
    return cls(4, shape, channels_last=channels_last, init=kernel, **kwargs)


@pytest.mark.parametrize(
    "transform, factors",
    [
        (NoTransform(3), np.array([1.0, 2, 3])),
        (Dense((3, 3), init=2.0), np.array([1.0, 2, 3])),
        (Dense((3, 3), init=np.array([3.0, 1, 2])), np.array([1.0, 2, 3])),
        (Dense((2, 3), init=RNG.normal(size=(2, 3))), np.array([1.0, 2, 3])),
        (
            Sparse((2, 3), [[0, 2], [1, 1]], init=[4.0, 5]),
            np.array([1.0, 2, 3]),
        ),
        (
            Sparse((2, 3), init=csr_matrix([[0, 1.0, 2], [3, 0, 0]])),
            np.array([1.0, 2, 3]),
        ),
        (convolution(Convolution, True), per_channel(True)),
        (convolution(Convolution, False), per_channel(False)),
        (convolution(Convolution, True, groups=2), per_channel(True)),
        (convolution(ConvolutionTranspose, True), per_channel(True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scaled_transforms(transform, factors):
    """A transform of scaled input is the scaled transform of the input."""
    x = RNG.normal(size=transform.size_in)
    with nengo.Network() as net:
        nodes = [nengo.Node(x * factors), nengo.Node(x)]
        probes = []
        for node, used in zip(nodes, (transform, scaled(transform, factors))):
            out = nengo.Node(size_in=transform.size_out)
            nengo.Connection(node, out, transform=used, synapse=None)
            probes.append(nengo.Probe(out))
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.step()
    expected, found = (sim.data[probe] for probe in probes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1


def test_nothing_changes_by_factors_of_one():
    transform = NoTransform(3)
    assert scaled(transform, np.ones(3)) is transform


def test_channels_differ_in_space():
    with pytest.raises(NotImplementedError, match="in different places"):
        scaled(convolution(Convolution, True), np.arange(1.0, 97))


def test_unknown_transform():
    class Other(nengo.transforms.Transform):
        size_in = size_out = 2

    with pytest.raises(NotImplementedError, match="Cannot change the scale"):
        scaled(Other(), np.array([1.0, 2]))


def decided(sites, rng):
    return [
        Population(
            nengo_dl.IntegrateAndFire(),
            rng.uniform(0.2, 1, site.n_channels),
            rng.normal(size=site.n_channels),
            rng.uniform(size=site.shape),
        )
        for site in sites
    ]


def arguments(converter, sites):
    """What calibration changes."""
    found = [np.array(conn.transform.init) for conn in converter.net.all_connections]
    for site in sites:
        ensemble = site.neurons.ensemble
        found += [ensemble.gain, ensemble.bias, ensemble.neuron_type.amplitude]
        found.append(ensemble.neuron_type.initial_state["voltage"])
    return found


def test_applied_twice(model):
    """The second calibration replaces the first one."""
    converter, fresh = nengo_dl.Converter(model), nengo_dl.Converter(model)
    for conv in (converter, fresh):
        # connections without a transform have no array to compare
        for conn in conv.net.all_connections:
            if isinstance(conn.transform, NoTransform):
                conn.transform = Dense((conn.size_in,) * 2, init=np.ones(conn.size_in))
    sites, fresh_sites = find_sites(converter), find_sites(fresh)
    first = decided(sites, np.random.RandomState(1))
    second = decided(sites, np.random.RandomState(2))
    for site, population in zip(sites, first):
        apply(converter.net, site, population, np.zeros(1))
    between = arguments(converter, sites)
    for site, before, after in zip(sites, first, second):
        apply(converter.net, site, after, before.biases)
    for site, population in zip(fresh_sites, second):
        apply(fresh.net, site, population, np.zeros(1))
    found, expected = arguments(converter, sites), arguments(fresh, fresh_sites)
    for x, y in zip(found, expected):
        np.testing.assert_allclose(x, y, rtol=1e-9)
    assert not all(np.allclose(x, y) for x, y in zip(between, expected))
