"""
One measurement in a process of its own; run by path: ``PYTHON worker.py --help``.

In: the name of a network, a backend and what to measure. Out: a JSON file with the
figures, and on request a ``.npy`` file with the first steps of the output.

Like `networks`, this file imports nothing of ours and runs under NengoDL 3.6 and
Nengo 3.2, so that every competitor is measured by the same lines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import nengo
import numpy as np

if __package__:
    from nengo_dl.benchmarks import networks
    from nengo_dl.benchmarks.models import MODELS
    from nengo_dl.benchmarks.training import measure_training
else:  # run by path; this directory is then the first place to import from
    import networks  # type: ignore[import-not-found,no-redef]
    from models import MODELS  # type: ignore[import-not-found,no-redef]
    from training import measure_training  # type: ignore[import-not-found,no-redef]

FIRST_STEPS = 100
"""Steps of the first run (0.1 s), whose output is compared with the reference."""

BACKENDS = ("nengo", "nengo_dl", "keras", "nengo_torch")

MAX_STEPS = 1_000_000
"""Limit of the steps of one timed run."""


def import_backend(backend: str) -> dict[str, str]:
    """Import the backend, so that no measurement includes it; return versions."""
    versions = {"nengo": nengo.__version__, "numpy": np.__version__}
    if backend == "nengo_torch":
        from importlib.metadata import version

        import nengo_torch  # noqa: F401

        versions.update({name: version(name) for name in ("nengo-torch", "torch")})
    elif backend != "nengo":
        import keras
        import tensorflow as tf

        versions["tensorflow"] = tf.__version__
        versions["keras"] = keras.__version__
    if backend == "nengo_dl":
        import nengo_dl

        nengo_dl.Simulator  # noqa: B018 (imported on first access)
        versions["nengo_dl"] = nengo_dl.__version__
    return versions


def make_simulator(args: argparse.Namespace, net: nengo.Network) -> Any:
    """Build the simulator that the arguments ask for."""
    # Decoders from the cache of an earlier run would make a build look faster.
    nengo.rc["decoder_cache"]["enabled"] = "False"
    if args.backend == "nengo":
        nengo.rc["precision"]["bits"] = str(args.precision)
        return nengo.Simulator(net, progress_bar=False)

    if args.backend == "nengo_torch":
        import nengo_torch

        return nengo_torch.Simulator(net, progress_bar=False)

    import nengo_dl

    with net:
        nengo_dl.configure_settings(
            keep_history=args.measure != "long",
            inference_only=args.inference_only,
            dtype=f"float{args.precision}",
        )
    return nengo_dl.Simulator(
        net,
        minibatch_size=args.minibatch,
        unroll_simulation=args.unroll,
        device=args.device,
        progress_bar=False,
    )


def run_seconds(sim: Any, n_steps: int) -> float:
    """Run ``n_steps`` and return how many seconds that took."""
    start = time.perf_counter()
    sim.run_steps(n_steps, progress_bar=False)
    return time.perf_counter() - start


def measure_first(_sim: Any, _args: argparse.Namespace) -> dict[str, Any]:
    """Measure nothing more than what `measure` does: build and first run."""
    return {}


def measure_speed(sim: Any, args: argparse.Namespace) -> dict[str, Any]:
    """
    Measure the time of a step in a run of about ``args.seconds`` seconds.

    The run is done twice and the second one timed, since the first may have to
    compile for its number of steps. The time that the cores were busy is measured too:
    where it is far from the elapsed time, others were using the machine, or several
    cores worked at once.
    """
    estimate = run_seconds(sim, FIRST_STEPS) / FIRST_STEPS
    n_steps = int(np.clip(args.seconds / estimate, args.unroll, MAX_STEPS))
    n_steps -= n_steps % args.unroll
    warmup = run_seconds(sim, n_steps)
    cpu_start = time.process_time()
    seconds = run_seconds(sim, n_steps)
    cpu_seconds = time.process_time() - cpu_start
    return {
        "us_per_step": 1e6 * seconds / n_steps,
        "cpu_us_per_step": 1e6 * cpu_seconds / n_steps,
        "n_steps": n_steps,
        "warmup_s": warmup,
    }


def measure_step(sim: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Measure single calls of ``sim.step()`` for about ``args.seconds`` seconds."""
    for _ in range(3):
        sim.step()
    times: list[float] = []
    while sum(times) < args.seconds and len(times) < 10_000:
        start = time.perf_counter()
        sim.step()
        times.append(time.perf_counter() - start)
    return {"ms_per_call": 1e3 * statistics.median(times), "n_calls": len(times)}


def measure_long(sim: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Measure time and memory of ``args.long_steps`` steps, in ten runs."""
    chunk = args.long_steps // 10
    seconds, memory = [], [resident_mib()]
    for _ in range(10):
        seconds.append(run_seconds(sim, chunk))
        memory.append(resident_mib())
    return {
        "us_per_step": 1e6 * statistics.median(seconds) / chunk,
        "n_steps": 10 * chunk,
        "resident_mib": memory,
    }


MEASURES = {
    "first": measure_first,
    "speed": measure_speed,
    "step": measure_step,
    "long": measure_long,
}


def resident_mib() -> float | None:
    """Return the resident memory of this process in MiB, None where unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        import resource
    except (OSError, ImportError):
        return None
    return pages * resource.getpagesize() / 2**20


def peak_mib() -> float | None:
    """Return the largest resident memory so far in MiB, None where unknown."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def first_output(sim: Any, net: nengo.Network, minibatch: int | None) -> np.ndarray:
    """Return the output of the first run as (minibatch, n_steps, size) array."""
    output = np.asarray(sim.data[net.p])
    return output[None] if minibatch is None else output


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """
    Build the network, run its first 0.1 s, and take the measurement asked for.

    Returns
    -------
    figures : dict
        Seconds of the imports, of the build and of the first run, which includes
        compilation (those of the processor, and those that passed), peak memory,
        versions, and what the function in `MEASURES` adds.
    """
    if args.measure == "training":
        versions = import_backend(args.backend)
        return {**measure_training(args), "versions": versions}
    net = networks.NETWORKS[args.network][1]()
    versions = import_backend(args.backend)
    import_cpu_s = time.process_time()  # since the process has started
    start = time.perf_counter()
    sim = make_simulator(args, net)
    build_s = time.perf_counter() - start
    build_cpu_s = time.process_time() - import_cpu_s
    with sim:
        first_s = run_seconds(sim, FIRST_STEPS)
        first_cpu_s = time.process_time() - import_cpu_s - build_cpu_s
        if args.output:
            minibatch = args.minibatch if args.backend == "nengo_dl" else None
            np.save(args.output, first_output(sim, net, minibatch))
        figures = MEASURES[args.measure](sim, args)
    return {
        "import_cpu_s": import_cpu_s,
        "build_s": build_s,
        "build_cpu_s": build_cpu_s,
        "first_s": first_s,
        "first_cpu_s": first_cpu_s,
        "n_neurons": net.n_neurons,
        "peak_mib": peak_mib(),
        "versions": versions,
        **figures,
    }


def parse_arguments(args: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description="Take one measurement.")
    parser.add_argument("--backend", choices=BACKENDS, required=True)
    known = [*networks.NETWORKS, *MODELS]
    parser.add_argument("--network", choices=known, required=True)
    measures = [*MEASURES, "training"]
    parser.add_argument("--measure", choices=measures, default="speed")
    parser.add_argument("--minibatch", type=int, default=None)
    parser.add_argument("--unroll", type=int, default=1)
    parser.add_argument("--precision", type=int, choices=(32, 64), default=None)
    parser.add_argument("--inference-only", action="store_true")
    parser.add_argument("--device", default=None)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--long-steps", type=int, default=1_000_000)
    parser.add_argument("--output", default=None, help=".npy file for the first steps")
    parser.add_argument("--result", required=True, help="JSON file for the figures")
    parsed = parser.parse_args(args)
    if parsed.precision is None:
        parsed.precision = 64 if parsed.backend == "nengo" else 32
    return parsed


if __name__ == "__main__":
    arguments = parse_arguments()
    Path(arguments.result).write_text(json.dumps(measure(arguments)))
