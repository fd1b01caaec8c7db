"""
Random networks give the same numbers as in `nengo.Simulator`.

``make fuzz N=5000`` tries 5,000 networks; the first 200 of them, always the same ones,
are tried by default.
"""

from __future__ import annotations

import warnings

import nengo
import numpy as np
from hypothesis import HealthCheck, Phase, assume, event, given, seed, settings
from hypothesis import strategies as st
from random_networks import networks, owner, random_objects

import nengo_dl

N_STEPS = 20

# Networks of one test. `make fuzz`, which also contains this number, runs every test in
# a process of its own, as TensorFlow keeps all programs that XLA has compiled, some
# 10 MB for each network.
CHUNK = 50


def pytest_generate_tests(metafunc):
    n_examples = metafunc.config.getoption("--examples") or 200
    starts = range(0, n_examples, CHUNK)
    metafunc.parametrize(
        "chunk, n_examples",
        [(i, min(CHUNK, n_examples - start)) for i, start in enumerate(starts)],
        ids=[str(i) for i in range(len(starts))],
    )


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
    @given(
        networks(),
        st.sampled_from([None, 3]),
        st.sampled_from(["auto", False, False]),
        st.booleans(),
    )
    def run(net, minibatch_size, jit_compile, inference_only):
        check_network(net, minibatch_size, jit_compile, inference_only)

    run()


def check_network(net, minibatch_size, jit_compile, inference_only):
    """Compare all probes of a network, in double precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # unseeded processes have the same numbers every time without optimizer
            with nengo.Simulator(net, progress_bar=False, optimize=False) as ref:
                ref.run_steps(N_STEPS)
        except (nengo.exceptions.NengoException, FloatingPointError, ValueError) as e:
            # not a network that Nengo can run
            event(f"rejected by Nengo: {type(e).__name__}")
            assume(False)
        with net:
            nengo_dl.configure_settings(
                dtype="float64", jit_compile=jit_compile, inference_only=inference_only
            )
        print(describe(net))  # pytest shows this if the test fails
        with nengo_dl.Simulator(
            net, minibatch_size=minibatch_size, progress_bar=False
        ) as sim:
            sim.run_steps(N_STEPS - 7)
            sim.run_steps(7)
    incomparable = random_objects(net)
    for probe in net.all_probes:
        expected = ref.data[probe]
        actual = sim.data[probe]
        if minibatch_size is not None:
            assert actual.shape[0] == minibatch_size
            actual = actual[0]
        if owner(probe.target) in incomparable:
            event("depends on random numbers, which no two simulators share")
            assert actual.shape == expected.shape
            continue
        # voltages of Izhikevich neurons grow without limit, and errors with them
        if (
            not np.all(np.isfinite(expected))
            or np.max(np.abs(expected), initial=0) > 1e6
        ):
            event("left the range of numbers in which comparing makes sense")
            continue
        np.testing.assert_allclose(
            actual,
            expected,
            rtol=1e-7,
            atol=1e-8,
            err_msg=f"{probe} of {probe.obj} ({probe.attr}, {probe.synapse})",
        )


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
