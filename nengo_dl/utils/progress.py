"""
Progress bars, drawn by progressbar2.

Only its public names are used, and our bars contain a bar of progressbar2 rather than
inherit from one, so that a change inside that library cannot break a simulation.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import progressbar
from nengo.exceptions import ValidationError
from nengo.rc import rc
from nengo.utils.progress import NoProgressBar, Progress
from nengo.utils.progress import ProgressBar as NengoBar

REFRESH_INTERVAL = 1.0
"""Seconds between updates of the elapsed time while nothing else changes."""


class NullProgressBar:
    """
    A progress bar that shows nothing; also the interface that all bars share.

    Parameters
    ----------
    present : str
        What is being done (e.g. "Building").
    past : str, optional
        What was done, for the message at the end (e.g. "Build").
    max_value : int or None
        Number of steps, None if it is not known.

    Attributes
    ----------
    value : int
        Number of steps that are done.
    finished : bool
        True after `finish`.
    """

    def __init__(
        self, present: str = "", past: str | None = None, max_value: int | None = 1
    ):
        self.present = present
        self.past = present if past is None else past
        self.max_value = max_value
        self.value = 0
        self.finished = False

    @property
    def max_steps(self) -> int | None:
        """Number of steps, under the name that Nengo uses."""
        return self.max_value

    @max_steps.setter
    def max_steps(self, max_steps: int | None) -> None:
        self.max_value = max_steps

    def start(self) -> NullProgressBar:
        """Show the bar. Has no effect on a bar that is already shown."""
        return self

    def step(self, n: int = 1) -> None:
        """Advance by ``n`` steps, though not beyond ``max_value``."""
        value = self.value + n
        self.value = value if self.max_value is None else min(value, self.max_value)

    def sub(self, msg: str | None = None, max_value: int | None = 1) -> NullProgressBar:
        """Return a bar for a part of the work, which ends when the next one begins."""
        return self

    def finish(self) -> None:
        """Show the final state. Has no effect on a bar that is already finished."""
        self.finished = True

    def __enter__(self) -> NullProgressBar:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.finish()

    def __call__(self, iterable: Iterable) -> Iterator:
        """Iterate over ``iterable``, advancing by a step after each item."""
        with self:
            for item in iterable:
                yield item
                self.step()


class ProgressBar(NullProgressBar):
    """
    A progress bar on the standard output.

    Parameters
    ----------
    present : str
        What is being done (e.g. "Building").
    past : str, optional
        What was done, for the message at the end (e.g. "Build"). Defaults to
        ``present``.
    max_value : int or None
        Number of steps, None if it is not known.
    **kwargs
        Passed on to ``progressbar.ProgressBar``.
    """

    def __init__(
        self,
        present: str = "",
        past: str | None = None,
        max_value: int | None = 1,
        **kwargs: Any,
    ):
        super().__init__(present, past, max_value)
        self.sub_bar: SubProgressBar | None = None
        self._kwargs = kwargs
        self._bar: progressbar.ProgressBar | None = None
        self._text = progressbar.FormatCustomText("%(text)s", {"text": present})
        self._lock = threading.RLock()
        self._stop_refreshing = threading.Event()

    def start(self) -> ProgressBar:
        """Show the bar. Has no effect on a bar that is already shown."""
        if self._bar is not None:
            return self
        widgets = [self._text, " "]
        if self.max_value is not None:
            widgets += [progressbar.Percentage(), " ", progressbar.Bar(), " "]
        options = {
            "max_value": (
                progressbar.UnknownLength if self.max_value is None else self.max_value
            ),
            "max_error": False,
            "fd": _StandardOutput(),
            "widgets": [*widgets, progressbar.Timer()],
        }
        self._bar = progressbar.ProgressBar(**{**options, **self._kwargs})
        self._bar.start()
        if _StandardOutput().isatty():
            threading.Thread(target=self._refresh, daemon=True).start()
        return self

    def step(self, n: int = 1) -> None:
        """Advance by ``n`` steps, though not beyond ``max_value``."""
        super().step(n)
        self._draw()

    def sub(self, msg: str | None = None, max_value: int | None = 1) -> SubProgressBar:
        """
        Return a bar for a part of the work, shown in the text of this one.

        Parameters
        ----------
        msg : str, optional
            What is being done.
        max_value : int or None
            Number of steps of this part, None if it is not known.

        Returns
        -------
        sub_bar : SubProgressBar
            The new bar. A part that was still going on is finished.
        """
        self._finish_sub_bar()
        self.sub_bar = SubProgressBar(self, msg or "", max_value)
        return self.sub_bar

    def finish(self) -> None:
        """Show the final state. Has no effect on a bar that is already finished."""
        if self.finished:
            return
        self._finish_sub_bar()
        self._stop_refreshing.set()
        with self._lock:
            self.finished = True
            if self._bar is not None:
                self._text.update_mapping(text=f"{self.past} finished")
                self._bar.finish()

    def show(self, text: str) -> None:
        """Change the text in front of the bar."""
        self._text.update_mapping(text=text)
        self._draw()

    def _draw(self, force: bool = False) -> None:
        with self._lock:
            if self._bar is None or self.finished:
                return
            if self.max_value is not None:
                self._bar.max_value = self.max_value
            self._bar.update(self.value, force=force)

    def _finish_sub_bar(self) -> None:
        if self.sub_bar is not None:
            self.sub_bar.finish()

    def _refresh(self) -> None:
        # the elapsed time goes on while TensorFlow is busy
        while not self._stop_refreshing.wait(REFRESH_INTERVAL):
            self._draw(force=True)


class MessageBar(ProgressBar):
    """
    A progress bar for work of unknown length, which shows only what is being done.

    Parameters
    ----------
    present : str
        What is being done.
    past : str, optional
        What was done, for the message at the end. Defaults to ``present``.
    **kwargs
        Passed on to ``progressbar.ProgressBar``.
    """

    def __init__(self, present: str = "", past: str | None = None, **kwargs: Any):
        super().__init__(present, past, max_value=None, **kwargs)


class SubProgressBar(NullProgressBar):
    """
    Progress of one part of the work, shown in the text of the bar for the whole.

    Parameters
    ----------
    parent : ProgressBar
        The bar for the whole.
    msg : str
        What is being done in this part.
    max_value : int or None
        Number of steps of this part, None if it is not known.
    """

    def __init__(self, parent: ProgressBar, msg: str, max_value: int | None = 1):
        super().__init__(msg, max_value=max_value)
        self.parent = parent

    def start(self) -> SubProgressBar:
        """Show what is being done in this part."""
        if not self.finished:
            self._show()
        return self

    def step(self, n: int = 1) -> None:
        """Advance by ``n`` steps, though not beyond ``max_value``."""
        super().step(n)
        if not self.finished:
            self._show()

    def finish(self) -> None:
        """End this part and give the text back to the parent."""
        if not self.finished:
            super().finish()
            self.parent.show(self.parent.present)

    def _show(self) -> None:
        percent = f" {100 * self.value // self.max_value}%" if self.max_value else ""
        self.parent.show(f"{self.parent.present} ({self.present}{percent})")


class NengoProgressBar(NullProgressBar):
    """
    A progress bar of Nengo behind the interface of ours.

    Parameters
    ----------
    bar : nengo.utils.progress.ProgressBar
        The bar to show the progress on.
    present : str
        What is being done.
    past : str, optional
        What was done. Defaults to ``present``.
    max_value : int or None
        Number of steps, None if it is not known.
    last : bool
        Whether to close ``bar`` when the work is finished. Nengo's bars cannot show
        anything after that.
    """

    def __init__(
        self,
        bar: NengoBar,
        present: str = "",
        past: str | None = None,
        max_value: int | None = 1,
        last: bool = True,
    ):
        super().__init__(present, past, max_value)
        self.bar = bar
        self.last = last
        self._progress: Progress | None = None

    def start(self) -> NengoProgressBar:
        """Show the bar. Has no effect on a bar that is already shown."""
        if self._progress is None:
            self._progress = Progress(self.present, self.past, self.max_value)
            self._progress.__enter__()
            self.bar.update(self._progress)
        return self

    def step(self, n: int = 1) -> None:
        """Advance by ``n`` steps, though not beyond ``max_value``."""
        super().step(n)
        if self._progress is not None and not self.finished:
            self._progress.n_steps = self.value
            self.bar.update(self._progress)

    def sub(self, msg: str | None = None, max_value: int | None = 1) -> NullProgressBar:
        """Return a bar that shows nothing: Nengo's bars have no parts."""
        return NullProgressBar(msg or "", max_value=max_value)

    def finish(self) -> None:
        """Show the final state. Has no effect on a bar that is already finished."""
        if self._progress is not None and not self.finished:
            self._progress.__exit__(None, None, None)
            self.bar.update(self._progress)
            if self.last:
                self.bar.close()
        super().finish()


class _StandardOutput:
    """
    Writes to whatever ``sys.stdout`` is at the moment, if it is anything.

    progressbar2 replaces ``sys.stdout`` itself by the stream it found when it was
    imported, which is not the one that notebooks, tests, or `redirect_stdout` look at.
    There may be none (in services, and programs with windows), and what is in its place
    may have no method but ``write``. What is shown is not worth an interruption.
    """

    def write(self, text: str) -> int:
        """Write some text."""
        try:
            self._call("write", text)
        except UnicodeEncodeError:
            encoding = getattr(sys.stdout, "encoding", None) or "ascii"
            known = text.encode(encoding, "replace").decode(encoding)
            self._call("write", known)
        except (OSError, TypeError, ValueError):
            pass  # a pipe that nobody reads, a closed file, or one of bytes
        return len(text)

    def flush(self) -> None:
        """Write what is in a buffer."""
        with suppress(OSError, ValueError):
            self._call("flush")

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        with suppress(OSError, ValueError):
            return bool(self._call("isatty"))
        return False

    @staticmethod
    def _call(name: str, *args: Any) -> Any:
        method = getattr(sys.stdout, name, None)
        return None if method is None else method(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def progress_bar_for(
    progress_bar: Any,
    present: str = "",
    past: str | None = None,
    max_value: int | None = 1,
    last: bool = True,
) -> NullProgressBar:
    """
    Return the progress bar that a user asked for.

    Parameters
    ----------
    progress_bar : bool, None, or nengo.utils.progress.ProgressBar
        True for a `ProgressBar` (unless progress bars are switched off in Nengo's
        configuration file), False or None for none, or a bar of Nengo.
    present : str
        What is being done.
    past : str, optional
        What was done.
    max_value : int or None
        Number of steps, None if it is not known.
    last : bool
        False if ``progress_bar`` will be used again, for what comes next.

    Returns
    -------
    bar : NullProgressBar
        A bar with the interface of `NullProgressBar`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``progress_bar`` is anything else.
    """
    if not isinstance(progress_bar, (bool, np.bool_, NengoBar, type(None))):
        raise ValidationError(
            "must be True, False, or one of `nengo.utils.progress` (received "
            f"{progress_bar!r})",
            "progress_bar",
        )
    if isinstance(progress_bar, NengoBar) and not isinstance(
        progress_bar, NoProgressBar
    ):
        return NengoProgressBar(progress_bar, present, past, max_value, last)
    if (
        progress_bar
        and not isinstance(progress_bar, NengoBar)
        and _progress_bars_enabled()
    ):
        return ProgressBar(present, past, max_value)
    return NullProgressBar(present, past, max_value)


def _progress_bars_enabled() -> bool:
    try:
        return rc["progress"].getboolean("progress_bar")
    except ValueError:
        # "auto", "none", or the name of a class
        return rc["progress"]["progress_bar"].lower() != "none"
