import pytest
from parameters.networks import assert_unchanged, in_single_precision, live_arrays


@pytest.fixture(scope="module")
def sim(Simulator):
    """A simulator that no test can load anything into."""
    with Simulator(in_single_precision(seed=1), unroll_simulation=1) as sim:
        sim.run_steps(3)
        before = live_arrays(sim)
        yield sim
        assert_unchanged(sim, before)


@pytest.fixture(scope="module")
def path(Simulator, tmp_path_factory):
    """A file that fits `sim`, with the state of a simulation."""
    path = tmp_path_factory.mktemp("parameters") / "params"
    with Simulator(in_single_precision(), unroll_simulation=1) as saved:
        saved.run_steps(5)
        saved.save_params(path, include_state=True)
    return path
