"""NengoLoihi on NumPy 2, for which it was not made."""

from __future__ import annotations

import nengo
import numpy as np
import pytest

from nengo_dl.loihi import NumPy1, allow_numpy_2

pytest.importorskip("numpy", minversion="2")
nengo_loihi = pytest.importorskip("nengo_loihi")


def test_numpy_of_the_past():
    numpy_1 = NumPy1()
    x = np.arange(3)
    assert numpy_1.array(x, copy=False) is x
    assert numpy_1.array(x, copy=False, dtype=np.float32).dtype == np.float32
    assert numpy_1.array(x) is not x
    assert numpy_1.pi == np.pi and numpy_1.random is np.random
    read = numpy_1.fromstring(b"\x01\x02", np.uint8)
    assert read.tolist() == [1, 2] and read.flags.writeable
    assert numpy_1.fromstring("1 2", sep=" ").tolist() == [1, 2]
    with pytest.raises(AttributeError):
        _ = numpy_1.nothing


def test_allow_numpy_2(monkeypatch):
    for name in ("block", "dvs", "neurons"):
        module = getattr(nengo_loihi, name)
        monkeypatch.setattr(module, "np", np)
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(20, 1, neuron_type=nengo_loihi.neurons.LoihiLIF())
        nengo.Connection(nengo.Node([0.5]), ens)
        probe = nengo.Probe(ens, synapse=0.05)
    with pytest.raises(ValueError, match="copy"):
        nengo_loihi.Simulator(net, progress_bar=False)

    allow_numpy_2()
    with nengo_loihi.Simulator(net, progress_bar=False) as sim:
        sim.run(0.3)
    assert np.abs(sim.data[probe][-100:].mean() - 0.5) < 0.15
    assert np.array is not nengo_loihi.block.np.array
    with pytest.raises(ValueError, match="copy"):
        np.array([1], copy=False)
