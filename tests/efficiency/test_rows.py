from dataclasses import fields
from types import SimpleNamespace

import pytest

from nengo_dl.efficiency.rows import EnsembleRow, Totals, quantised_network


def ensemble(**values):
    row = {field.name: 0 for field in fields(EnsembleRow)}
    return EnsembleRow(**{**row, **values})


def total(**values):
    return Totals(**{**{field.name: 0 for field in fields(Totals)}, **values})


@pytest.mark.parametrize(
    "n_steps, largest, bits",
    [(1, 1, 1), (3, 1, 2), (4, 1, 3), (7, 1, 3), (8, 1, 4), (8, 0, 4), (2, 4, 4)],
)
def test_bits(n_steps, largest, bits):
    rows = [ensemble(spikes_per_inference=1.0, updates=1, largest=largest)]
    assert quantised_network(rows, total(), n_steps, 4).bits == bits


def test_quantised_network():
    rows = [
        ensemble(neurons=10, spikes_per_inference=2.0, updates=30, largest=1),
        ensemble(neurons=5, spikes_per_inference=None, updates=15, largest=None),
    ]
    costs = total(
        dense_operations=300, effective_macs=10.0, effective_acs=40.0, weight_bytes=200
    )
    result = quantised_network(rows, costs, n_steps=3, n_bytes=4)
    assert (result.bits, result.operations) == (2, 100)
    # an accumulate for each bit
    assert result.joules == pytest.approx(100 * 2 * 0.9e-12)
    assert result.spiking_joules == pytest.approx(10 * 4.6e-12 + 40 * 0.9e-12)
    assert (result.weight_bytes, result.spiking_weight_bytes) == (400, 200)
    assert result.activity == pytest.approx(20 / 30)

    # no product costs more than that of numbers of 32 bits
    many = quantised_network(rows, costs, n_steps=300, n_bytes=4)
    assert many.joules == pytest.approx(4.6e-12)


def test_no_spikes():
    row = SimpleNamespace(spikes_per_inference=None, updates=5)
    assert quantised_network([row], total(), 1, 4) is None
