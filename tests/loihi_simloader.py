"""The simulator that NengoLoihi's own tests run on; see ``.ci/loihi``."""

from __future__ import annotations


def make_simulator(request):
    import nengo_loihi

    return nengo_loihi.Simulator
