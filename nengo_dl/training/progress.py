"""
Progress while TensorFlow compiles, before Keras shows any.

In: a progress bar. Out: a callback that shows it until the first batch is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from nengo_dl.utils import NullProgressBar

# What Keras tells callbacks: losses and metrics by name.
Logs = dict[str, Any] | None


class CompilationBar(keras.callbacks.Callback):
    """
    A progress bar for the first batch of a call of Keras.

    Parameters
    ----------
    method : "fit" or "evaluate" or "predict"
        The method that is called; batches for validation do not count.
    make_bar : callable
        Returns the bar.
    """

    def __init__(self, method: str, make_bar: Callable[[], NullProgressBar]):
        super().__init__()
        self._method = method
        self._make_bar = make_bar
        self._bar: NullProgressBar | None = None

    def _begin(self, method: str) -> None:
        if self._bar is None and method == self._method:
            self._bar = self._make_bar().start()

    def finish(self) -> None:
        """Show that nothing is being compiled any more."""
        if self._bar is not None:
            self._bar.finish()

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Show the bar before the first batch."""
        self._begin("fit")

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Show the bar before the first batch."""
        self._begin("evaluate")

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Show the bar before the first batch."""
        self._begin("predict")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Finish the bar after the first batch."""
        self.finish()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Finish the bar after the first batch."""
        self.finish()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Finish the bar after the first batch."""
        self.finish()
