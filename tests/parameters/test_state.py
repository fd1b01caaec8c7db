"""Files with the state of a simulation."""

import nengo
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import assert_unchanged, live_arrays, small_network


def test_state_of_other_networks(Simulator, path, tmp_path):
    for kwargs, message in [
        ({"network": small_network(n_neurons=5), "minibatch_size": 2}, "shape"),
        ({"network": small_network(label="other")}, "'other'"),
    ]:
        with Simulator(**kwargs) as sim:
            before = live_arrays(sim)
            with pytest.raises(SimulationError, match=f"of another network.*{message}"):
                sim.load_params(path, include_state=True)
            assert_unchanged(sim, before)
    other_type = small_network()
    other_type.ensembles[0].neuron_type = nengo.SpikingRectifiedLinear()
    with Simulator(other_type, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="state is that of another network"):
            sim.load_params(path, include_state=True)
        sim.load_params(path)
        sim.save_params(tmp_path / "stateless")
        with pytest.raises(SimulationError, match="no state of a simulation"):
            sim.load_params(tmp_path / "stateless", include_state=True)
