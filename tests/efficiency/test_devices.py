import pytest
from nengo.exceptions import ValidationError

from nengo_dl.efficiency.devices import (
    CMOS_45_NM,
    DEVICES,
    Device,
    check_devices,
    energy_on,
)

OPERATIONS = {
    "accumulates": 100.0,
    "macs": 10.0,
    "updates": 40.0,
    "connections": 70,
    "neurons": 4,
}


def test_energy_of_spikes():
    energy = energy_on(Device("chip", 2.0, 3.0, source="me"), **OPERATIONS)
    assert energy.synapses == (100 + 10) * 2
    assert energy.updates == 40 * 3
    assert energy.total == 340
    assert (energy.device, energy.spiking, energy.source) == ("chip", True, "me")


def test_energy_of_everything_once():
    energy = energy_on(Device("host", 2.0, 3.0, spiking=False), **OPERATIONS)
    assert (energy.synapses, energy.updates, energy.total) == (140, 12, 152)


def test_energy_of_macs():
    energy = energy_on(CMOS_45_NM, **OPERATIONS)
    assert energy.synapses == pytest.approx(100 * 0.9e-12 + 10 * 4.6e-12)


def test_devices():
    """The figures are those of their sources."""
    by_name = {device.name: device for device in DEVICES}
    assert len(by_name) == len(DEVICES)
    assert by_name["Loihi"].joules_per_synaptic_event == 27.1e-12
    assert by_name["Loihi"].joules_per_update == 81e-12
    assert by_name["SpiNNaker"].joules_per_update == 26e-9
    assert by_name["SpiNNaker 2"].joules_per_synaptic_event == 450e-12
    spiking = {name for name, device in by_name.items() if device.spiking}
    assert spiking == {"Loihi", "SpiNNaker", "SpiNNaker 2", "45 nm CMOS"}
    assert all(device.source for device in DEVICES)


@pytest.mark.parametrize(
    "attr", ["joules_per_synaptic_event", "joules_per_update", "joules_per_mac"]
)
@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_impossible_energies(attr, value):
    energies = {"joules_per_synaptic_event": 1.0, "joules_per_update": 1.0}
    with pytest.raises(ValidationError, match=f"{attr}.*at least 0"):
        Device("chip", **{**energies, attr: value})


@pytest.mark.parametrize("devices", [None, CMOS_45_NM, ["Loihi"]])
def test_no_devices(devices):
    with pytest.raises(ValidationError, match="must be a list of"):
        check_devices(devices)
