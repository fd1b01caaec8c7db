"""
Settings of other packages, which hold for all threads of the process.

In: how to read and to write such a setting. Out: contexts in which it has another
value, after which it is as it was before, in whatever order threads leave them.
"""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

# Held by a thread while a setting must have the value that it needs. That is so while
# something is built or traced, and never while a compiled function runs: Python that is
# called from there, maybe in a thread of TensorFlow, may use other simulators.
SETTINGS_LOCK = threading.RLock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore warnings; other threads, whose filters are the same, have to wait."""
    with SETTINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class GlobalSetting:
    """
    A setting that threads change for a while.

    Parameters
    ----------
    read : callable
        Returns the value.
    write : callable
        Sets the value.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None]):
        self._read, self._write = read, write
        # values of the contexts that have been entered, not yet left; each in a list,
        # to be told apart, and the value outside of all in front
        self._values: list[list[Any]] = []
        self._written: Any = None

    def outside(self) -> Any:
        """Return the value outside of all contexts."""
        with SETTINGS_LOCK:
            if not self._values:
                return self._read()
            self._see_changes()
            return self._values[0][0]

    def shown(self, value: Any) -> AbstractContextManager[None]:
        """
        Return a context that sets the value, until another thread sets it.

        For what goes on for long, and may call all kinds of code.

        Parameters
        ----------
        value : object
            The value, for as long as the context lasts.
        """
        return _Shown(self, value)

    def enter(self, own: list[Any]) -> bool:
        """
        Set a value; return whether it has to be taken back by `leave`.

        Parameters
        ----------
        own : [object]
            The value.
        """
        with SETTINGS_LOCK:
            if self._values:
                self._see_changes()
            else:
                now = self._read()
                if now == own[0]:
                    return False
                self._values.append([now])
            self._values.append(own)
            self._set(own[0])
        return True

    def leave(self, own: list[Any]) -> None:
        """Take a value back that `enter` has set."""
        with SETTINGS_LOCK:
            self._see_changes()
            self._values = [other for other in self._values if other is not own]
            self._set(self._values[-1][0])
            if len(self._values) == 1:
                self._values = []

    def _set(self, value: Any) -> None:
        self._write(value)
        self._written = self._read()

    def _see_changes(self) -> None:
        """Keep what the user has set in the meantime, for the time after all."""
        now = self._read()
        if now != self._written:
            self._values[0][0] = self._written = now

    @contextmanager
    def fixed(self, value: Any) -> Iterator[None]:
        """Set the value; other threads have to wait."""
        with SETTINGS_LOCK, self.shown(value):
            yield


class _Shown:
    """The context of `GlobalSetting.shown`, which is entered in every single step."""

    def __init__(self, setting: GlobalSetting, value: Any):
        self._setting, self._own = setting, [value]

    def __enter__(self) -> None:
        self._is_set = self._setting.enter(self._own)

    def __exit__(self, *details: Any) -> None:
        if self._is_set:
            self._setting.leave(self._own)


# Whether Python looks for garbage, from time to time, in all objects that there are.
GARBAGE_COLLECTION = GlobalSetting(
    gc.isenabled, lambda is_on: gc.enable() if is_on else gc.disable()
)
