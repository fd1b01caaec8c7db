"""
Measure a network on one device with minibatches of several sizes, for `gpu`.

In: the name of a network, a device, and sizes. Out: a JSON file with a list of figures,
one entry for each size; it is written after each of them, so that what was measured
before a crash is there. With ``--devices``, the file has the devices that TensorFlow
knows. Run as ``python -m nengo_dl.benchmarks.sweep``, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nengo
import numpy as np

import nengo_dl
from nengo_dl.benchmarks.compare import compare
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.worker import FIRST_STEPS, measure_speed, run_seconds


def list_devices() -> list[dict[str, str]]:
    """Return names, kinds and descriptions of the devices, CPUs first."""
    import tensorflow as tf

    physical = tf.config.list_physical_devices()
    details = {d.name: tf.config.experimental.get_device_details(d) for d in physical}
    models = {
        name.removeprefix("/physical_device:"): detail.get("device_name", "")
        for name, detail in details.items()
    }
    devices = []
    for device in tf.config.list_logical_devices():
        if device.device_type in ("CPU", "GPU"):
            name = device.name.removeprefix("/device:")
            model = models.get(name, "")
            devices.append({"name": f"/{name.lower()}", "model": model})
    return sorted(devices, key=lambda device: device["name"])


def split_cpu(n: int) -> None:
    """Let TensorFlow see ``n`` CPUs, to try out how several devices are measured."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * n
    tf.config.set_logical_device_configuration(cpu, parts)


def measure_sizes(args: argparse.Namespace) -> None:
    """Measure all sizes for which there is time, and write the file."""
    start = time.perf_counter()
    nengo.rc["decoder_cache"]["enabled"] = "False"
    net = NETWORKS[args.network][1]()
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(FIRST_STEPS)
        reference = sim.data[net.p][None]
    figures: list[dict[str, Any]] = []
    for minibatch in args.minibatch:
        if figures and time.perf_counter() - start > args.limit:
            break
        figures.append({"minibatch": minibatch})
        try:
            figures[-1].update(measure_size(net, minibatch, reference, args))
        except Exception as err:  # memory may be short of large minibatches alone
            figures[-1]["error"] = f"{type(err).__name__}: {err}".splitlines()[0]
        Path(args.result).write_text(json.dumps(figures))
        if "error" in figures[-1]:
            break


def measure_size(
    net: nengo.Network, minibatch: int, reference: np.ndarray, args: argparse.Namespace
) -> dict[str, Any]:
    """Return times, and how far the output of the first steps is from Nengo's."""
    start = time.perf_counter()
    sim = nengo_dl.Simulator(
        net,
        minibatch_size=minibatch,
        device=args.device,
        unroll_simulation=args.unroll,
        progress_bar=False,
    )
    build_s = time.perf_counter() - start
    with sim:
        first_s = run_seconds(sim, FIRST_STEPS)
        comparison = compare(sim.data[net.p], reference)
        return {
            "build_s": build_s,
            "first_s": first_s,
            "comparison": vars(comparison),
            "difference": str(comparison),
            **measure_speed(sim, args),
        }


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description="Measure minibatches of some sizes.")
    add = parser.add_argument
    add("--devices", action="store_true", help="only list the devices")
    add("--network", choices=NETWORKS, default="channel")
    add("--device", default=None)
    add("--minibatch", nargs="+", type=int, default=[1])
    add("--seconds", type=float, default=0.3)
    add("--limit", type=float, default=600, help="no size starts after these seconds")
    add("--logical-cpus", type=int, default=1, help="what TensorFlow is to see")
    add("--result", required=True, help="JSON file")
    return parser.parse_args(arguments, argparse.Namespace(unroll=1))


if __name__ == "__main__":
    parsed = parse_arguments()
    if parsed.logical_cpus > 1:
        split_cpu(parsed.logical_cpus)
    if parsed.devices:
        Path(parsed.result).write_text(json.dumps(list_devices()))
    else:
        measure_sizes(parsed)
