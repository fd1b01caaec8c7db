import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.benchmarks.varied_networks import (
    mixed,
    question,
    spa_model,
    spiking_images,
)


def test_spa_model():
    net = spa_model(dimensions=4, n_bindings=2)
    assert net.p.size_in == 4
    assert {conn.pre_obj for conn in net.all_connections} >= {net.a.output, net.inp}


def test_question():
    net = question(dimensions=16)
    assert net.inp.size_out == net.p.size_in == 16
    assert len({tuple(net.inp.output(t)) for t in (0.05, 0.15, 0.25)}) == 3


@pytest.mark.parametrize(
    "make, sizes, n_types",
    [(spiking_images, (8, (2, 3)), 2), (mixed, (10, 1), 7)],
)
def test_output(make, sizes, n_types):
    net = make(*sizes)
    assert len({type(ens.neuron_type) for ens in net.ensembles}) == n_types
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(20)
    with net:
        nengo_dl.configure_settings(dtype="float64", jit_compile=False)
    with nengo_dl.Simulator(net, unroll_simulation=1, progress_bar=False) as ours:
        ours.run_steps(20)
    assert np.abs(sim.data[net.p]).max() > 1e-3
    np.testing.assert_allclose(ours.data[net.p], sim.data[net.p], atol=1e-12)
