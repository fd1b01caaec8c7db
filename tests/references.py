"""Whether objects are freed."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Sequence


def are_freed(refs: Sequence[weakref.ref], seconds: float = 30) -> bool:
    """
    Collect garbage until some objects are gone; give up after a time.

    Once is not enough where other threads run Python, as those of TensorFlow's data
    sets do: while one of them collects garbage, `gc.collect` returns at once.
    """
    end = time.monotonic() + seconds
    while any(ref() is not None for ref in refs):
        if time.monotonic() > end:
            return False
        gc.collect()
        time.sleep(0.01)
    return True
