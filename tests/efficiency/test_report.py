import json

import matplotlib.pyplot as plt
import pytest

from nengo_dl.efficiency import CMOS_45_NM
from nengo_dl.efficiency.devices import CAVEAT


def test_text(report):
    text = str(report)
    assert text.startswith("Efficiency of net: an inference of 10 steps of 0.001 s")
    for part in ("ensembles['hidden']", "RegularSpiking", "effective ACs", "Loihi"):
        assert part in text
    assert text.index(CAVEAT) > text.index("memory traffic left out")
    assert f"{report.totals.state_bytes:,} bytes of state" in text
    assert "The same network without spikes, with activations of" in text
    assert "Not counted" not in text


def test_html(report):
    text = report._repr_html_()
    assert text.count("<table>") == text.count("</table>") == 4
    assert "nodes[&#x27;inp&#x27;] -&gt; ensembles" in text
    assert CAVEAT in text


def test_numbers(report):
    numbers = report.to_dict()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert numbers["totals"]["neurons"] == 13
    assert [row["label"] for row in numbers["ensembles"]] == ["hidden", "rates", "nef"]
    assert numbers["energy"][-1]["device"] == "mine"
    assert numbers["energy_caveat"] == CAVEAT
    assert numbers["quantised"]["bits"] > 0


def test_energy(report):
    total = report.totals
    *_, mine = report.energy
    operations = total.effective_acs + total.effective_macs
    assert mine.total == pytest.approx(operations + 2 * total.membrane_updates)
    cpu = report.energy[0]
    assert cpu.total == pytest.approx(8.6e-9 * (total.synapses + total.neurons))
    cmos = report.energy_on(CMOS_45_NM).synapses
    assert cmos == report.quantised.spiking_joules


def test_plots(report):
    for plot, n_bars in [(report.plot_rates, 3), (report.plot_energy, 8)]:
        ax = plot()
        assert len(ax.patches) == n_bars
        plt.close(ax.figure)
    _, ax = plt.subplots()
    assert report.plot_histogram(ax) is ax and len(ax.patches) == 3
    plt.close(ax.figure)
