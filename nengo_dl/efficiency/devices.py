"""
Energy of an inference on devices, from the operations that it takes.

In: numbers of operations. Out: joules, by a model that knows of nothing but operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nengo.exceptions import ValidationError

#: Stands beside every figure of energy.
CAVEAT = (
    "Energy is that of computing alone. Memory traffic is left out, which can cost "
    "hundreds of times as much: compare devices and networks only with the bytes in "
    "mind that they move."
)


@dataclass(frozen=True)
class Device:
    r"""
    What operations cost on a device.

    A spiking device computes what spikes cause, a device that is not spiking every
    connection and every neuron once per inference:

    .. math::

       E_{spiking} &= N_{AC} E_{event} + N_{MAC} E_{MAC} + N_{updates} E_{update}

       E_{otherwise} &= N_{connections} E_{MAC} + N_{neurons} E_{update}

    Parameters
    ----------
    name : str
        Name of the device.
    joules_per_synaptic_event : float
        Energy in joules of what one spike does to one neuron.
    joules_per_update : float
        Energy in joules of one update of one neuron.
    spiking : bool
        Whether the device computes only what spikes cause.
    source : str
        Where the figures come from.
    joules_per_mac : float, optional
        Energy in joules of the product of a weight and a real number; by default that
        of a synaptic event.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an energy is negative or not finite.
    """

    name: str
    joules_per_synaptic_event: float
    joules_per_update: float
    spiking: bool = True
    source: str = ""
    joules_per_mac: float | None = None

    def __post_init__(self) -> None:
        for attr in ("joules_per_synaptic_event", "joules_per_update", "mac"):
            value = getattr(self, attr)
            if not 0 <= value < math.inf:
                attr = "joules_per_mac" if attr == "mac" else attr
                raise ValidationError(
                    f"must be an energy of at least 0, in joules (received {value!r})",
                    attr=attr,
                    obj=self,
                )

    @property
    def mac(self) -> float:
        """Energy in joules of the product of a weight and a real number."""
        if self.joules_per_mac is None:
            return self.joules_per_synaptic_event
        return self.joules_per_mac


@dataclass(frozen=True)
class Energy:
    """
    Energy of one inference on one device, in joules, without memory traffic.

    Parameters
    ----------
    device : str
        Name of the device.
    spiking : bool
        Whether it computes only what spikes cause.
    synapses, updates, total : float
        Energy of connections, of neurons, and of both.
    source : str
        Where the figures of the device come from.
    """

    device: str
    spiking: bool
    synapses: float
    updates: float
    total: float
    source: str


_DEGNAN = "Degnan, Marr & Hasler 2015"
_HOPPNER = "Höppner et al. 2019"

CMOS_45_NM = Device(
    "45 nm CMOS",
    joules_per_synaptic_event=0.9e-12,
    joules_per_update=4.6e-12,
    source="Horowitz 2014 (operations of 32 bits; an update counts as one MAC)",
    joules_per_mac=4.6e-12,
)

DEVICES = (
    Device("CPU (i7-4960X)", 8.6e-9, 8.6e-9, False, _DEGNAN),
    Device("GPU (Titan Black)", 0.3e-9, 0.3e-9, False, _DEGNAN),
    Device("ARM (Cortex-A)", 0.9e-9, 0.9e-9, False, _DEGNAN),
    Device("Loihi", 27.1e-12, 81e-12, True, "Davies et al. 2018"),
    Device("SpiNNaker", 13.3e-9, 26e-9, True, _HOPPNER),
    Device("SpiNNaker 2", 450e-12, 2.19e-9, True, _HOPPNER),
    CMOS_45_NM,
)


def energy_on(
    device: Device,
    accumulates: float,
    macs: float,
    updates: float,
    connections: int,
    neurons: int,
) -> Energy:
    """
    Return the energy of one inference on a device; see `Device`.

    Parameters
    ----------
    device : Device
        The device.
    accumulates, macs, updates : float
        Operations of an inference: caused by spikes, products with real numbers, and
        updates of neurons.
    connections, neurons : int
        Numbers of synapses and neurons.

    Returns
    -------
    energy : Energy
        In joules.
    """
    if device.spiking:
        synapses = accumulates * device.joules_per_synaptic_event + macs * device.mac
    else:
        synapses, updates = connections * device.mac, neurons
    joules = updates * device.joules_per_update
    return Energy(
        device.name, device.spiking, synapses, joules, synapses + joules, device.source
    )


def check_devices(devices: Any) -> tuple[Device, ...]:
    """
    Return devices as a tuple.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they are no devices.
    """
    if isinstance(devices, Iterable):
        devices = tuple(devices)
        if all(isinstance(device, Device) for device in devices):
            return devices
    raise ValidationError(
        "must be a list of `nengo_dl.efficiency.Device`, such as `(*DEVICES, "
        f"my_device)` (received {devices!r})",
        attr="devices",
    )
