"""
Our simulator, as Nengo's own test suite wants it.

In: the settings in Nengo's configuration (rc). Out: what its pytest plugin offers to
tests as ``Simulator``; see ``nengo_simloader`` in ``setup.cfg``.
"""

from __future__ import annotations

import nengo
from nengo.rc import rc

import nengo_dl
from nengo_dl.config import get_setting


def make_simulator(request):
    """
    Return the simulator for Nengo's tests.

    Also makes the settings that Nengo's repository makes for its tests (in a file that
    is not installed with the package).

    Parameters
    ----------
    request : pytest.FixtureRequest
        The request for the ``Simulator`` fixture (not used).

    Returns
    -------
    simulator : SimulatorForNengo
        Makes simulators.
    """
    rc.set("decoder_cache", "enabled", "False")
    rc.set("exceptions", "simplified", "False")
    rc.set("nengo.Simulator", "fail_fast", "True")
    rc.set("progress", "progress_bar", "False")
    return SimulatorForNengo()


class SimulatorForNengo:
    """
    Makes simulators that calculate as precisely as `nengo.Simulator` would.

    Equal to `nengo_dl.Simulator`, because there is a test that looks for the simulator
    among the registered backends.
    """

    def __call__(self, network=None, *args, progress_bar=False, **kwargs):
        if network is not None:
            configure_default(network, dtype=f"float{rc.get('precision', 'bits')}")
        return nengo_dl.Simulator(network, *args, progress_bar=progress_bar, **kwargs)

    def __eq__(self, other):
        return other is nengo_dl.Simulator or type(other) is type(self)

    def __hash__(self):
        return hash(nengo_dl.Simulator)


def configure_default(network: nengo.Network, **settings) -> None:
    """Configure the settings that the network does not configure itself."""
    for name, value in settings.items():
        if get_setting(network, name) is None:
            with network:
                nengo_dl.configure_settings(**{name: value})
