"""
Random networks give the same numbers as in `nengo.Simulator`.

``make fuzz N=5000`` tries 5,000 networks; the first 100 of them, always the same ones,
are tried by default.
"""

from __future__ import annotations

import warnings

import nengo
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, seed, settings
from hypothesis import strategies as st
from random_networks import networks, owner, random_objects
from random_runs import N_STEPS, comparable_items, copied, nengo_data, runs

import nengo_dl

# Networks of one test. `make fuzz`, which also contains this number, runs every test in
# a process of its own, as TensorFlow keeps all programs that XLA has compiled, some
# 10 MB for each network.
CHUNK = 50


def pytest_generate_tests(metafunc):
    n_examples = metafunc.config.getoption("--examples") or 100
    starts = range(0, n_examples, CHUNK)
    metafunc.parametrize(
        "chunk, n_examples",
        [(i, min(CHUNK, n_examples - start)) for i, start in enumerate(starts)],
        ids=[str(i) for i in range(len(starts))],
    )


@pytest.mark.long
def test_random_networks(chunk, n_examples):
    @seed(chunk)
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.data())
    def run(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the networks, and what they do
            net = data.draw(networks())
            check_network(net, data.draw(runs(net)))

    run()


def check_network(net, run):
    """Compare all probes of a network, in double precision."""
    with net:
        nengo_dl.configure_settings(
            dtype="float64",
            jit_compile=run.jit_compile,
            inference_only=run.inference_only,
            layerwise=run.layerwise,
        )
    try:
        expected = {i: nengo_data(net, run, i) for i in comparable_items(net, run)}
    except (nengo.exceptions.NengoException, FloatingPointError, ValueError) as e:
        # not a network that Nengo can run
        event(f"rejected by Nengo: {type(e).__name__}")
        assume(False)
    print(describe(net), run, sep="\n")  # pytest shows this if the test fails
    net = copied(net, run.copy)
    with nengo_dl.Simulator(
        net, dt=run.dt, minibatch_size=run.minibatch_size, progress_bar=False
    ) as sim:
        actual = simulate(sim, net, run)
        for item, values in expected.items():
            compare(net, run, actual, item, values)
        if run.resets:
            sim.reset()
            # exactly, as the same compiled functions run
            assert_same(net, simulate(sim, net, run), actual, tolerance=0)
        if run.predicts:
            # within another compiled function, whose sums may be rounded otherwise
            assert_same(net, predict(sim, net, run), actual, tolerance=1e-7)


def simulate(sim, net, run) -> list[np.ndarray]:
    """Return what the Probes record in a run, piece by piece."""
    data = run.data(net)
    start = 0
    for n_steps in run.pieces:
        stop = start + n_steps
        sim.run_steps(n_steps, data={n: x[:, start:stop] for n, x in data.items()})
        start = stop
    return [sim.data[probe] for probe in net.all_probes]


def predict(sim, net, run) -> list[np.ndarray]:
    """Return what the Probes have recorded, by `predict` instead."""
    times = [sim.trange(probe.sample_every) for probe in net.all_probes]
    sim.reset()
    outputs = sim.predict(run.data(net), n_steps=N_STEPS, verbose=0)
    values = []
    for probe, time in zip(net.all_probes, times, strict=True):
        # `predict` returns all steps
        value = outputs[probe][:, np.round(time / sim.dt).astype(int) - 1]
        values.append(value[0] if run.minibatch_size is None else value)
    return values


def compare(net, run, actual, item, expected):
    """Compare an item with Nengo's numbers, wherever there are such."""
    incomparable = random_objects(net)
    for probe, ours, nengos in zip(net.all_probes, actual, expected, strict=True):
        if run.minibatch_size is not None:
            assert ours.shape[0] == run.minibatch_size
            ours = ours[item]
        if owner(probe.target) in incomparable:
            event("depends on random numbers, which no two simulators share")
            assert ours.shape == nengos.shape
            continue
        if is_comparable(nengos):
            np.testing.assert_allclose(
                ours, nengos, rtol=1e-7, atol=1e-8, err_msg=about(probe)
            )


def assert_same(net, actual, expected, tolerance):
    """Check that two runs of one simulator have the same numbers, in all items."""
    for probe, again, before in zip(net.all_probes, actual, expected, strict=True):
        if is_comparable(before):
            np.testing.assert_allclose(
                again,
                before,
                rtol=tolerance,
                atol=tolerance / 10,
                err_msg=about(probe),
            )


def is_comparable(values) -> bool:
    """
    Say whether numbers are in a range where rounding errors are bounded.

    Voltages of Izhikevich neurons grow without limit, and errors with them.
    """
    if np.all(np.isfinite(values)) and np.max(np.abs(values), initial=0) <= 1e6:
        return True
    event("left the range of numbers in which comparing makes sense")
    return False


def about(probe) -> str:
    """Say what a Probe records."""
    return f"{probe} of {probe.obj} ({probe.attr}, {probe.synapse})"


def describe(net) -> str:
    """Say what a network consists of."""
    lines = ["Network:"]
    for node in net.all_nodes:
        lines.append(f"  {node} {node.output}")
    for ens in net.all_ensembles:
        lines.append(f"  {ens} {ens.n_neurons} {ens.neuron_type} noise={ens.noise}")
    for conn in net.all_connections:
        parts = (conn.transform, conn.synapse, conn.solver, conn.learning_rule_type)
        lines.append(f"  {conn} {parts}")
    return "\n".join(lines)
