import nengo
import numpy as np
import pytest
from nengo.rc import rc
from nengo_simloader import configure_default, make_simulator

import nengo_dl
from nengo_dl.config import get_setting


@pytest.fixture
def simulator_for_nengo():
    """Returns what Nengo's tests get, and restores Nengo's settings after the test."""
    before = {section: dict(rc[section]) for section in rc.sections()}
    yield make_simulator(None)
    for section, options in before.items():
        for option, value in options.items():
            rc.set(section, option, value)


@pytest.fixture
def net():
    with nengo.Network() as net:
        net.probe = nengo.Probe(nengo.Node([0.1]))
    return net


@pytest.mark.parametrize("bits", ["32", "64"])
def test_precision_of_nengo(simulator_for_nengo, net, bits):
    rc.set("precision", "bits", bits)
    with simulator_for_nengo(net) as sim:
        sim.step()
    assert sim.data[net.probe].dtype == np.dtype(f"float{bits}")


def test_precision_of_the_network(simulator_for_nengo, net):
    with net:
        nengo_dl.configure_settings(dtype="float32")
    with simulator_for_nengo(net) as sim:
        sim.step()
    assert sim.data[net.probe].dtype == np.float32


def test_built_model(simulator_for_nengo, net):
    model = nengo.builder.Model()
    model.build(net)
    with simulator_for_nengo(network=None, model=model) as sim:
        sim.step()
    assert np.allclose(sim.data[net.probe], 0.1)


def test_no_output(simulator_for_nengo, net, capsys):
    with simulator_for_nengo(net) as sim:
        sim.run(0.002)
    assert capsys.readouterr().out == ""


def test_is_the_registered_backend(simulator_for_nengo):
    assert simulator_for_nengo in [nengo.Simulator, nengo_dl.Simulator]
    assert simulator_for_nengo != nengo.Simulator


def test_configure_default(net):
    configure_default(net, dtype="float64", inference_only=False)
    configure_default(net, dtype="float32", inference_only=True)
    assert get_setting(net, "dtype") == "float64"
    assert get_setting(net, "inference_only") is False
