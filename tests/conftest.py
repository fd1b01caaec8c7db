"""Options and fixtures of our own tests."""

from __future__ import annotations

import functools
import re

import nengo
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, settings
from nengo_simloader import configure_default

import nengo_dl
from nengo_dl.builder import load_builders

# before a test replaces one of the registries for a while
load_builders()


def pytest_addoption(parser):
    group = parser.getgroup("nengo_dl")
    group.addoption(
        "--dtype",
        choices=("float32", "float64"),
        help="float type of simulations that do not choose one themselves",
    )
    group.addoption(
        "--unroll-simulation", type=int, help="default for `unroll_simulation`"
    )
    group.addoption(
        "--device",
        help="where all simulators run, also those that ask for /cpu:0; with /cpu:1, "
        "there are two CPU devices",
    )
    group.addoption(
        "--inference-only",
        action="store_true",
        help="build networks without support for training; skips tests of training",
    )
    group.addoption(
        "--simulator-only",
        action="store_true",
        help="run only tests of simulators, to which the options above apply",
    )
    group.addoption(
        "--examples",
        type=int,
        metavar="N",
        help="number of examples for each property test",
    )


def pytest_configure(config):
    settings.register_profile(
        "nengo_dl",
        max_examples=config.getoption("--examples") or 20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("nengo_dl")
    make_cpu_devices(config.getoption("--device"))
    # processes in parallel would wait for each other, and warn that they gave up
    nengo.rc.set("decoder_cache", "enabled", "False")


def make_cpu_devices(device):
    """Divide the CPU into so many logical devices that there is the one asked for."""
    index = re.fullmatch("/cpu:([1-9])", (device or "").lower())
    if index:
        devices = [tf.config.LogicalDeviceConfiguration()] * (int(index[1]) + 1)
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--simulator-only"):
        unused = [i for i in items if "Simulator" not in i.fixturenames]
        items[:] = [i for i in items if "Simulator" in i.fixturenames]
        config.hook.pytest_deselected(items=unused)
    # at the end, one process would be left alone with them
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if config.getoption("--inference-only"):
        skip = pytest.mark.skip(reason="--inference-only")
        for item in items:
            if item.get_closest_marker("training"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def default_device(request):
    """Return where simulators run, for what XLA is to find there."""
    return request.config.getoption("--device") or "/cpu:0"


@pytest.fixture(scope="session", autouse=True)
def all_on_device(request):
    """Have all simulators run where the option says; what is around them stays."""
    device = request.config.getoption("--device")
    if device is None:
        yield
        return
    init = nengo_dl.Simulator.__init__

    @functools.wraps(init)
    def init_on_device(self, *args, **kwargs):
        if kwargs.get("device") in (None, "/cpu:0"):
            kwargs["device"] = device
        init(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nengo_dl.Simulator, "__init__", init_on_device)
        yield


@pytest.fixture(scope="session")
def Simulator(request):
    """Return `nengo_dl.Simulator`, without progress bars and with our options."""
    option = request.config.getoption
    arguments = {
        "progress_bar": False,
        "unroll_simulation": option("--unroll-simulation"),
    }
    arguments = {name: arg for name, arg in arguments.items() if arg is not None}

    def make_simulator(network=None, *args, **kwargs):
        if network is not None and option("--dtype"):
            configure_default(network, dtype=option("--dtype"))
        if network is not None and option("--inference-only"):
            configure_default(network, inference_only=True)
        return nengo_dl.Simulator(network, *args, **{**arguments, **kwargs})

    return make_simulator
