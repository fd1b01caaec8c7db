"""Calibration as users call it."""

import json

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_dl


@pytest.fixture(scope="module")
def calibrated(model, points):
    """A converter, calibrated for 8 steps, and its report."""
    converter = nengo_dl.Converter(model)
    report = converter.calibrate(*points, n_steps=8, tolerance=0.05)
    return converter, report


def test_accuracy_is_kept(calibrated, model, points):
    """By a network that spikes at most once in a step."""
    converter, report = calibrated
    chosen = report.calibration.chosen
    assert chosen.n_steps == 8 and chosen.most_spikes == 1
    assert chosen.score >= report.calibration.keras_score - 0.05
    assert report.calibration.within_tolerance
    outputs = model(points[0][200:]).numpy()
    accuracy = np.mean(outputs.argmax(axis=1) == points[1][200:])
    assert report.keras_score == pytest.approx(accuracy)
    assert report.is_accuracy


def test_report_is_what_the_network_does(calibrated, points):
    """The score, rates and errors are those of a simulation in Nengo."""
    converter, report = calibrated
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    relu = converter.layers[converter.model.get_layer("relu")]
    outputs, spikes = [], []
    with converter.net:
        own = nengo.Probe(relu)
    try:
        for x in points[0][200:230]:
            node.output = x
            with nengo.Simulator(converter.net, progress_bar=False) as sim:
                sim.run_steps(8)
            outputs.append(sim.data[probe].mean(axis=0))
            spikes.append(sim.data[own] * sim.dt / relu.ensemble.neuron_type.amplitude)
    finally:
        converter.net.probes.remove(own)
        node.output = np.zeros(6)
    again = converter.report(points[0][200:230], points[1][200:230], device="/cpu:0")
    right = np.argmax(outputs, axis=1) == points[1][200:230]
    assert again.curve[-1].score == pytest.approx(np.mean(right))
    row = next(row for row in again.layers if row.layer == "relu")
    assert row.spikes == pytest.approx(np.abs(spikes).sum() / 20 / 30, rel=1e-6)
    thresholds = 1 / (relu.ensemble.gain * 0.001)
    first = converter.model.get_layer("first")(points[0][200:230])
    wanted = keras.ops.relu(first).numpy()
    error = np.mean(spikes, axis=1) * thresholds - wanted
    assert row.error == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
    assert row.threshold_max == pytest.approx(thresholds.max())
    assert again.n_steps == 8


def test_predicted_errors(calibrated):
    """By a trial on the same items, so that they agree."""
    for row in calibrated[1].layers:
        if row.error is not None:
            assert row.error_predicted == pytest.approx(row.error, rel=0.25)
            assert row.correlation > 0.8


def test_texts_and_numbers(calibrated):
    report = calibrated[1]
    text = str(report)
    for words in ("relu", "Accuracy over simulation time", "IntegrateAndFire", "steps"):
        assert words in text
        assert words in report._repr_html_()
    numbers = json.loads(json.dumps(report.to_dict()))
    assert numbers["calibration"]["chosen"]["n_steps"] == 8
    assert len(numbers["curve"]) == 8
    assert any("IntegrateAndFire" in issue for issue in report.loihi)


def test_plots(calibrated):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    report = calibrated[1]
    for plot in ("curve", "rates", "errors", "energy"):
        axes = getattr(report, f"plot_{plot}")()
        assert axes.lines or axes.patches
        matplotlib.pyplot.close(axes.figure)


def test_number_of_steps_is_chosen(model, points):
    """The smallest one that is good enough, and no other is tried after it."""
    converter = nengo_dl.Converter(model)
    report = converter.calibrate(*points, tolerance=0.1)
    trials = report.calibration.trials
    enough = report.calibration.keras_score - 0.1
    tried = [trial.n_steps for trial in trials]
    assert tried == [1, 2, 4, 8, 16, 32, 64][: len(tried)]
    assert [trial.score >= enough for trial in trials[:-1]] == [False] * len(tried[1:])
    assert trials[-1].score >= enough
    assert report.calibration.chosen == trials[-1]


def test_spike_budget(model, points):
    converter = nengo_dl.Converter(model)
    report = converter.calibrate(
        *points,
        n_steps=4,
        spike_budget=0.5,
        neuron_type=nengo_dl.IntegrateAndFire(),
        method="max",
    )
    assert report.calibration.chosen.spikes_per_neuron <= 0.51
    assert report.calibration.chosen.spikes_per_neuron > 0.3
    assert report.calibration.chosen.factor != 1


def test_neuron_types_of_the_user(model, points):
    """Spiking types that were swapped in stay, and so do those that are asked for."""
    swapped = nengo_dl.Converter(
        model, swap_activations={"relu": nengo.SpikingRectifiedLinear()}
    )
    report = swapped.calibrate(*points, n_steps=16, tolerance=0.2)
    names = {row.neuron_type for row in report.layers} - {None}
    assert names == {"SpikingRectifiedLinear"}
    assert not any("neurons of type" in issue for issue in report.loihi)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"method": "best"}, "`method` must be one of percentile"),
        ({"correction": "all"}, "`correction` must be one of both"),
        ({"n_steps": 0}, "`n_steps` must be a positive integer"),
        ({"n_steps": 2.5}, "`n_steps` must be a positive integer"),
        ({"n_steps": "all"}, "`n_steps` must be a positive integer"),
        ({"tolerance": -0.1}, "`tolerance` is a difference of accuracies"),
        ({"tolerance": 5}, "`tolerance` is a difference of accuracies"),
        ({"spike_budget": 0}, "`spike_budget`.*must be positive"),
        ({"percentile": 0}, "`percentile` must be above 0"),
        ({"neuron_type": nengo.LIF()}, "`neuron_type` must be"),
    ],
)
def test_bad_arguments(model, points, kwargs, message):
    converter = nengo_dl.Converter(model)
    with pytest.raises(ValidationError, match=message):
        converter.calibrate(*points, **kwargs)
    relu = converter.layers[model.get_layer("relu")]
    assert type(relu.ensemble.neuron_type) is nengo.RectifiedLinear
    assert converter.calibration is None


def test_bad_data_and_networks(model, points):
    x, labels = points
    converter = nengo_dl.Converter(model)
    with pytest.raises(ValidationError, match="`n_steps` must be a positive integer"):
        converter.report(x, n_steps=0)
    with pytest.raises(ValidationError, match="at least 12 items.*received 5"):
        converter.calibrate(x[:5])
    with pytest.raises(ValidationError, match="must have the shape"):
        converter.calibrate(x[:, :3])
    filtered = nengo_dl.Converter(model, synapse=0.01)
    with pytest.raises(ValidationError, match="need no synapse"):
        filtered.calibrate(x, labels)
    sigmoids = nengo_dl.Converter(
        model, swap_activations={"relu": nengo.Sigmoid(tau_ref=1)}
    )
    with pytest.raises(ValidationError, match="nothing to calibrate"):
        sigmoids.calibrate(x, labels)


def test_temporal_models():
    inp = keras.Input((5, 3))
    model = keras.Model(inp, keras.layers.ReLU()(inp))
    converter = nengo_dl.Converter(model, temporal_model=True)
    with pytest.raises(ValidationError, match="time axis"):
        converter.calibrate(np.zeros((20, 5, 3)))


def test_warning_if_too_much_is_lost(model, points):
    converter = nengo_dl.Converter(model)
    with pytest.warns(UserWarning, match="more than `tolerance=0.0` apart"):
        converter.calibrate(
            *points, n_steps=1, tolerance=0.0, correction="none", method="max"
        )
