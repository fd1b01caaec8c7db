"""How many seconds the stages of a piece of work take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class Stopwatch(Mapping[str, float]):
    """
    Seconds that stages have taken so far, by the name of the stage.

    ``print(stopwatch)`` shows all of them, and their sum.

    Parameters
    ----------
    stages : sequence of str
        Stages that are shown from the beginning, in this order. Others come after them.
    """

    def __init__(self, stages: Sequence[str] = ()):
        self._seconds = dict.fromkeys(stages, 0.0)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Return a context whose time is added to that of a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def clear(self) -> None:
        """Start all stages again from zero."""
        self._seconds = dict.fromkeys(self._seconds, 0.0)

    def __getitem__(self, stage: str) -> float:
        return self._seconds[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._seconds})"

    def __str__(self) -> str:
        rows = {**self._seconds, "total": sum(self._seconds.values())}
        width = max(map(len, rows))
        return "\n".join(f"{stage:<{width}} {t:9.3f} s" for stage, t in rows.items())
