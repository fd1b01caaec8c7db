import json

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulatorClosed, ValidationError

import nengo_dl
from nengo_dl.parameters.live import find_parameters, read_values, write_values

DT = 0.001
AMPLITUDE = 0.5


def by_label(rows):
    return {row.name if "enc" in row.name else row.label: row for row in rows}


def number_of_spikes(output, amplitude):
    spikes = np.abs(output) * DT / amplitude
    np.testing.assert_allclose(spikes, np.rint(spikes), atol=1e-9)
    return np.rint(spikes)


def test_spikes_are_those_of_nengo(report, oracle):
    row = by_label(report.ensembles)["hidden"]
    spikes = number_of_spikes(oracle["hidden"], AMPLITUDE)
    # the network is worth it: spikes of both signs, several at a time, a silent neuron
    assert spikes.max() > 1 and (oracle["hidden"] < 0).any()

    rates = spikes.mean(axis=(0, 1)) / DT
    np.testing.assert_allclose(report.rates["ensembles['hidden']"], rates)
    assert row.mean_rate == pytest.approx(rates.mean())
    assert row.percentile_rate == pytest.approx(np.percentile(rates, 99))
    assert row.silent == np.mean(rates == 0) == 0.25
    assert row.sparsity == pytest.approx(np.mean(spikes == 0))
    assert row.spikes_per_step == pytest.approx(spikes.mean())
    assert row.spikes_per_inference == pytest.approx(spikes.sum(axis=1).mean())
    assert row.largest == spikes.max()
    assert (row.neurons, row.parameters, row.states, row.updates) == (4, 4, 4, 40)
    assert (row.neuron_type, row.spiking) == ("RegularSpiking", True)


def test_rates_are_those_of_nengo(report, oracle):
    row = by_label(report.ensembles)["rates"]
    assert row.mean_rate == pytest.approx(oracle["rates"].mean() / 2e-3)
    assert row.sparsity == pytest.approx(np.mean(oracle["rates"] == 0))
    assert row.silent == np.mean((oracle["rates"] == 0).all(axis=(0, 1)))
    assert 0 < row.sparsity < 1 and not row.spiking
    assert row.spikes_per_step is row.spikes_per_inference is row.largest is None


def test_operations(report, parts, oracle):
    """What spikes and numbers do, by weights that were counted by hand."""
    hidden = number_of_spikes(oracle["hidden"], AMPLITUDE).sum(axis=1).mean(axis=0)
    nef = number_of_spikes(oracle["nef"], 1).sum(axis=1).mean(axis=0)
    nonzero = {
        "inp": np.count_nonzero(parts.data, axis=1).mean(axis=0),
        "nef_input": np.count_nonzero(oracle["nef_input"], axis=1).mean(axis=0),
    }
    rows = by_label(report.connections)
    expected = {
        "dense": (nonzero["inp"] @ [3, 2], 0),
        "recurrent": (0, hidden @ [0, 2, 0, 1]),
        "convolution": (0, hidden @ [2, 3, 3, 2]),
        "identity": (0, 0),
        "decoded": (0, nef.sum() * 2),
        "ensembles['nef'].encoders": (nonzero["nef_input"].sum() * 5, 0),
    }
    assert rows.keys() == expected.keys()
    for label, (macs, accumulates) in expected.items():
        assert rows[label].macs == pytest.approx(macs), label
        assert rows[label].accumulates == pytest.approx(accumulates), label
        assert (macs + accumulates > 0) == (label != "identity")
    assert rows["convolution"].events == pytest.approx(hidden.sum())


def test_sizes(report):
    """Synapses, dense operations of a step, parameters, states, updates of filters."""
    assert {
        label: (
            row.synapses,
            row.dense_operations,
            row.parameters,
            row.states,
            row.filter_updates,
        )
        for label, row in by_label(report.connections).items()
    } == {
        "dense": (5, 8, 8, 0, 0),
        "recurrent": (3, 3, 3, 4, 40),
        "convolution": (10, 10, 3, 0, 0),
        "identity": (0, 0, 0, 4, 40),
        "decoded": (10, 10, 10, 2, 20),
        "ensembles['nef'].encoders": (10, 10, 10, 0, 0),
    }


def test_totals(report):
    total, rows = report.totals, report.connections
    ensembles = by_label(report.ensembles)
    assert (report.n_items, report.n_steps) == (4, 10)
    assert total.parameters == 34 + 4 + 4 + 5
    # voltages, refractory times, filters
    assert total.footprint == (47 + 4 + 10 + 10) * 8
    assert total.connection_sparsity == pytest.approx((3 + 13) / (8 + 16 + 3 + 20))
    zeros = sum(row.sparsity * row.neurons for row in ensembles.values())
    assert total.activation_sparsity == pytest.approx(zeros / 13)
    assert total.effective_macs == pytest.approx(sum(row.macs for row in rows))
    assert total.effective_acs == pytest.approx(sum(row.accumulates for row in rows))
    assert total.dense_operations == 41 * 10
    assert (total.membrane_updates, total.filter_updates) == (130, 100)
    assert (total.neurons, total.synapses) == (13, 38)
    operations = total.effective_macs + total.effective_acs
    assert total.weight_bytes == pytest.approx(operations * 8)
    assert total.state_bytes == 2 * 24 * 10 * 8


def test_not_counted(report):
    assert report.not_counted == ()


def everything_of(sim):
    graph = sim.tensor_graph
    return {
        "steps": np.array(sim.n_steps),
        "operators": np.array(len(sim.model.operators)),
        "signals": np.array(len(sim.model.sig)),
        "parameters": np.array(len(sim.model.params)),
        "recorded": np.array([sim.data[probe] for probe in sim.model.probes]),
        "probes": np.array(len(graph.program.probes)),
        **graph.values.get_arrays(),
    }


def test_the_simulator_stays_as_it_was(sim, parts):
    before = everything_of(sim)
    objects = list(parts.net.all_objects)
    seed, config = parts.net.seed, str(parts.net.config)
    nengo_dl.efficiency.measure(sim, {parts.inp: parts.data[:2]})
    after = everything_of(sim)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    assert parts.net.all_objects == objects
    assert (parts.net.seed, str(parts.net.config)) == (seed, config)


def test_present_parameters_and_functions_of_nodes(sim, parts):
    """The Node runs its own function, and the weights are what they are now."""
    parameters = find_parameters(sim.tensor_graph)
    values = dict(zip(parameters, read_values(sim.tensor_graph, parameters)))
    (dense,) = (p for p in parameters if p.label == "dense")
    changed = np.zeros((4, 2))
    changed[0, 1] = 1
    write_values(sim.tensor_graph, {dense: changed})
    try:
        report = nengo_dl.efficiency.measure(sim, n_steps=5)
    finally:
        write_values(sim.tensor_graph, {dense: values[dense]})
    row = by_label(report.connections)["dense"]
    assert (report.n_items, report.n_steps) == (2, 5)
    assert (row.synapses, row.zero_weights, row.macs) == (1, 7, 5)
    # the second neuron has neither bias nor input now
    assert report.rates["ensembles['hidden']"][1:3].tolist() == [0, 0]


def test_wrong_arguments(sim, parts):
    measure = nengo_dl.efficiency.measure
    with pytest.raises(ValidationError, match="nengo_dl.Simulator.*received a"):
        measure(parts.net, n_steps=5)
    with pytest.raises(ValidationError, match="either input data or n_steps"):
        measure(sim)
    for n_steps in (0, -5, 2.5):
        with pytest.raises(ValidationError, match="integer of at least 1"):
            measure(sim, n_steps=n_steps)
    with pytest.raises(ValidationError, match="should have rank 3"):
        measure(sim, {parts.inp: np.zeros((2, 5))})
    with pytest.raises(ValidationError, match="size_out=2"):
        measure(sim, {parts.inp: np.zeros((2, 5, 1))})
    with pytest.raises(ValidationError, match="must be a list of"):
        measure(sim, n_steps=5, devices=[3])
    with pytest.raises(ValidationError, match="dictionary, list or array"):
        measure(sim, (x for x in ()))


def test_closed_and_empty(Simulator):
    """A network without ensembles has a report without rows of them."""
    with nengo.Network() as net:
        nengo_dl.configure_settings(jit_compile=False)
        inp = nengo.Node([1.0, 0.0])
        nengo.Connection(inp, nengo.Node(size_in=2), synapse=None, transform=[1, 1])
    with Simulator(net, device="/cpu:0") as sim:
        report = nengo_dl.efficiency.measure(sim, n_steps=5)
    assert report.ensembles == () and report.quantised is None
    assert (report.totals.effective_macs, report.totals.neurons) == (5, 0)
    assert report.totals.activation_sparsity is None
    json.dumps(report.to_dict(), allow_nan=False)
    assert "–" in str(report)
    with pytest.raises(SimulatorClosed, match="Cannot measure"):
        nengo_dl.efficiency.measure(sim, n_steps=5)


def test_model_without_network(Simulator):
    model = nengo.builder.Model()
    with pytest.warns(UserWarning, match="No top-level network"):
        sim = Simulator(None, model=model, device="/cpu:0")
    with sim, pytest.raises(ValidationError, match="simulator of a network"):
        nengo_dl.efficiency.measure(sim, n_steps=5)
