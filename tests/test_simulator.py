"""How simulators are made, what they are called on, and how they end."""

import gc
import importlib.metadata
import warnings

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import (
    BuildError,
    ReadonlyError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)

import nengo_dl
from nengo_dl.config import configure_settings
from nengo_dl.simulation.simulation import BUILD_STAGES
from nengo_dl.simulator import OpenSimulatorWarning


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        net.inp = nengo.Node(lambda t: np.sin(10 * t))
        net.probe = nengo.Probe(net.inp)
    return net


# -- construction ----------------------------------------------------------------------


def test_nothing_to_simulate(Simulator):
    with pytest.raises(ValidationError, match="pass a network, or a built model"):
        Simulator(None)


@pytest.mark.parametrize("argument", ["unroll_simulation", "minibatch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_bad_arguments(Simulator, net, argument, value):
    with pytest.raises(ValidationError, match=f"`{argument}` must be.*received"):
        Simulator(net, **{argument: value})


@pytest.mark.parametrize(
    "name, values",
    [
        ("network", ["net", 5, nengo.Ensemble(1, 1, add_to_container=False)]),
        ("model", ["m", nengo.Network(add_to_container=False)]),
        ("dt", ["0.001", None, True, [0.001]]),
        ("dt", [0, -0.001, np.nan, np.inf, 1e-320, 1e39, 10**40]),
        ("seed", ["1", 1.0, -1, True]),
        ("device", [5, "nonsense"]),
        ("progress_bar", ["yes", 1]),
        ("optimize", [None, "yes"]),
    ],
)
def test_wrong_arguments(net, name, values):
    """They are refused before anything is built."""
    for value in values:
        arguments = {"network": net, "device": "/cpu:0", name: value}
        with pytest.raises(ValidationError, match=f"^{name}: must be .*received"):
            nengo_dl.Simulator(**arguments)


def test_wrong_dt_of_a_model(Simulator):
    with pytest.raises(ValidationError, match="^dt: must be .*received -1.0"):
        Simulator(None, model=nengo.builder.Model(dt=-1.0))


def test_unroll_must_be_given(Simulator, net):
    with pytest.raises(ValidationError, match="`unroll_simulation` must be"):
        Simulator(net, unroll_simulation=None)


def test_numpy_integers_are_integers(Simulator, net):
    with Simulator(
        net, unroll_simulation=np.int64(2), minibatch_size=np.int32(3)
    ) as sim:
        assert (sim.unroll, sim.minibatch_size) == (2, 3)


def test_failed_construction_leaves_no_open_simulator(net):
    with warnings.catch_warnings(), pytest.raises(ValidationError):
        warnings.simplefilter("error")
        nengo_dl.Simulator(net, minibatch_size=0)
    gc.collect()


def test_no_arguments_at_all(capsys):
    with pytest.raises(TypeError):
        nengo_dl.Simulator()
    gc.collect()
    assert "ignored" not in capsys.readouterr().err


def test_unknown_operator(Simulator):
    class Op(nengo.builder.operator.Reset):
        make_step = nengo.builder.Operator.make_step

    model = nengo.builder.Model()
    model.add_op(Op(nengo.builder.signal.Signal(shape=(1,))))
    with pytest.raises(BuildError, match="No registered builder"):
        Simulator(None, model=model)


def test_registered_as_backend():
    backends = importlib.metadata.entry_points(group="nengo.backends")
    assert backends["dl"].load() is nengo_dl.Simulator


@pytest.mark.parametrize("device", [None, "/cpu:0", "/CPU:0"])
def test_devices(net, device, Simulator):
    with net:
        ens = nengo.Ensemble(20, 1)
        nengo.Connection(net.inp, ens)
        probe = nengo.Probe(ens, synapse=0.01)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(50)
    with Simulator(net, device=device) as sim:
        sim.run_steps(50)
        assert sim.device == device
        assert np.allclose(sim.data[probe], ref.data[probe], atol=1e-4)


def test_invalid_device(net):
    before = keras.config.floatx()
    with pytest.raises(ValueError, match="nowhere"):
        nengo_dl.Simulator(net, device="nowhere", progress_bar=False)
    assert keras.config.floatx() == before


def test_no_gpu_warning(net, monkeypatch):
    monkeypatch.setattr(
        nengo_dl.simulation.device.tf.config, "list_physical_devices", lambda kind: []
    )
    with pytest.warns(UserWarning) as caught:
        nengo_dl.Simulator(net, progress_bar=False).close()
    messages = [str(warning.message) for warning in caught]
    assert sum("No GPU support detected" in message for message in messages) == 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False).close()


# -- facts -----------------------------------------------------------------------------


def test_time_and_steps(net, Simulator):
    with nengo.Simulator(net, dt=0.003, progress_bar=False) as ref:
        with Simulator(net, dt=0.003, unroll_simulation=1) as sim:
            assert (sim.n_steps, sim.time, sim.dt) == (0, 0, 0.003)
            times = []
            for n_steps in (1, 7, 3):
                sim.run_steps(n_steps)
                ref.run_steps(n_steps)
                assert sim.n_steps == ref.n_steps
                assert sim.time == ref.time
                assert (sim.trange() == ref.trange()).all()
                times.append(dict(sim.build_times))
    # what is compiled once is measured once
    assert times[0]["compile"] > 0 and times == 3 * [dict(sim.build_times)]
    assert isinstance(sim.n_steps, int) and isinstance(sim.time, float)
    assert (sim.n_steps, sim.time, sim.dt) == (11, ref.time, 0.003)
    assert (sim.trange() == ref.trange()).all()


def test_facts_are_read_only(net, Simulator):
    with Simulator(net) as sim:
        with pytest.raises(ReadonlyError, match="dt"):
            sim.dt = 0.1
        for name in ("n_steps", "time", "seed"):
            with pytest.raises(AttributeError):
                setattr(sim, name, 1)


def test_facts_about_the_construction(net):
    with net:
        configure_settings(stateful=False)
    with nengo_dl.Simulator(
        net, unroll_simulation=2, minibatch_size=3, device="/cpu:0", progress_bar=False
    ) as sim:
        assert (sim.unroll, sim.minibatch_size, sim.device) == (2, 3, "/cpu:0")
        assert sim.progress_bar is False and sim.stateful is False
        assert sim.model.toplevel is net
        assert sim.closed is False
        assert list(sim.build_times) == list(BUILD_STAGES)
        assert sim.build_times["compile"] == 0 < sim.build_times["trace"]
    assert sim.closed is True


def test_trange(net, Simulator):
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(10)
        assert np.allclose(sim.trange(), np.arange(1, 11) * 0.001)
        assert np.allclose(sim.trange(sample_every=0.003), [0.003, 0.006, 0.009])
        with pytest.warns(DeprecationWarning, match="sample_every"):
            assert np.allclose(sim.trange(dt=0.005), [0.005, 0.01])
        with pytest.raises(ValidationError, match="both"):
            sim.trange(dt=0.1, sample_every=0.1)


def test_step_order(net, Simulator):
    with Simulator(net, optimize=False) as sim:
        types = [type(op).__name__ for op in sim.step_order]
        assert types.count("TimeUpdate") == 1 and types.count("SimProbe") == 1


# -- names -----------------------------------------------------------------------------


def test_names(Simulator):
    with nengo.Network() as net:
        labels = [None, None, "aa", "aa", "Aa", "aA", None]
        nodes = [nengo.Node([0], label=label) for label in labels]
        probes = [
            nengo.Probe(node, label=label and f"p_{label}")
            for node, label in zip(nodes, labels)
        ]
        foreign = nengo.Node(size_in=1)
        ens = nengo.Ensemble(5, 1)
    with nengo.Network():
        foreign_probe = nengo.Probe(nengo.Node([0]))
    with Simulator(net) as sim:
        assert [sim.get_name(node) for node in nodes] == [
            "node",
            "node_1",
            "aa",
            "aa_1",
            "Aa_2",
            "aA_3",
            "node_2",
        ]
        assert [sim.get_name(probe) for probe in probes] == [
            "probe",
            "probe_1",
            "p_aa",
            "p_aa_1",
            "p_Aa_2",
            "p_aA_3",
            "probe_2",
        ]
        sim.step()
        for obj, message in [
            (foreign, "not an input Node"),
            (foreign_probe, "from a different network"),
            (ens, "unknown type `Ensemble`"),
        ]:
            with pytest.raises(ValidationError, match=message):
                sim.get_name(obj)


# -- the end ---------------------------------------------------------------------------


def test_closed_simulators(net, Simulator):
    with Simulator(net) as sim:
        assert sim.tensor_graph
        sim.run_steps(5)
    sim.close()
    for name, call in {
        "run_steps": lambda: sim.run_steps(1),
        "run_steps ": lambda: sim.run(1),
        "run_steps  ": sim.step,
        "reset": sim.reset,
        "soft_reset": sim.soft_reset,
        "__enter__": sim.__enter__,
    }.items():
        message = f"call {name.strip()}.*simulator is closed"
        with pytest.raises(SimulatorClosed, match=message):
            call()
    with pytest.raises(SimulatorClosed, match="access Simulator.tensor_graph"):
        _ = sim.tensor_graph
    assert sim.signals is None

    # these are still available
    assert sim.node_inputs[net.inp].shape == (1, None, 1)
    assert sim.node_inputs is sim.node_inputs
    assert sim.n_steps == 5 and len(sim.trange()) == 5
    assert sim.data[net.probe].shape == (5, 1)
    assert sim.get_name(net.inp) == "node"
    assert sim.seed == 1


def test_blocks_may_end_in_any_order(net, Simulator):
    before = keras.config.floatx()
    first, second = Simulator(net, device="/cpu:0"), Simulator(net, device="/cpu:0")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert first.closed
    second.run_steps(5)
    second.__exit__(None, None, None)
    assert second.closed
    assert keras.config.floatx() == before


def test_close_within_the_block(net, Simulator):
    before = keras.config.floatx()
    with net:
        configure_settings(dtype="float64")
    with Simulator(net) as sim:
        sim.close()
    assert keras.config.floatx() == before


def test_deallocated_while_open(net):
    sim = nengo_dl.Simulator(net, progress_bar=False)
    with pytest.warns(RuntimeWarning, match="Simulator.*deallocated while open") as w:
        sim.__del__()
    assert w[0].category is OpenSimulatorWarning
    assert issubclass(OpenSimulatorWarning, ResourceWarning)
    assert sim.closed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sim.__del__()


def test_methods_of_the_past(net, Simulator):
    with Simulator(net) as sim:
        with pytest.raises(SimulationError, match="train has been deprecated"):
            sim.train()
        with pytest.raises(SimulationError, match="loss has been deprecated"):
            sim.loss()
