"""The methods of the simulator that have to do with parameters."""

import nengo
import pytest
from nengo.exceptions import SimulatorClosed
from parameters.networks import make_network


def test_closed(Simulator):
    with Simulator(nengo.Network()) as sim:
        pass
    for call in (lambda: sim.save_params(None), lambda: sim.load_params(None)):
        with pytest.raises(SimulatorClosed, match="_params: the simulator is closed"):
            call()
    with pytest.raises(SimulatorClosed, match="call export_params"):
        sim.export_params()


def test_deprecated_argument(Simulator, tmp_path):
    with Simulator(make_network(0)) as sim:
        sim.run_steps(5)
        with pytest.warns(DeprecationWarning, match="include_non_trainable is deprec"):
            sim.save_params(tmp_path / "params", include_non_trainable=True)
        sim.reset()
        with pytest.warns(DeprecationWarning, match="include_non_trainable is deprec"):
            sim.load_params(tmp_path / "params", include_non_trainable=True)
        assert sim.n_steps == 5
