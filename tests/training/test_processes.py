"""Data sets of Keras whose batches other processes make."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.training.processes import BatchProcesses

pytestmark = [
    pytest.mark.training,
    # Python 3.12 and newer, wherever new processes are forks
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]


class Batches(keras.utils.PyDataset):
    """Batches that say which process made them, and one that cannot be made."""

    def __init__(self, error=None, size=1, workers=2):
        super().__init__(workers=workers, use_multiprocessing=True)
        self.error = error
        self.size = size
        self.epoch = 0
        self.pid = os.getpid()

    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 3 and self.error is not None:
            raise self.error
        is_here = os.getpid() == self.pid
        x = np.full((2, 1, self.size if i == 3 else 1), self.epoch)
        y = np.zeros((2, 1, 1)) if is_here else np.full((2, 1, 1), 100)
        return {"a": x, "n_steps": np.ones((2, 1))}, {"p": y}

    def on_epoch_end(self):
        self.epoch += 1


def test_batches_and_exceptions():
    processes = BatchProcesses(Batches(LookupError("none left"), workers=1))
    for _ in range(2):
        assert np.all(processes[0][1]["p"] == 100)
        with pytest.raises(LookupError, match="none left"):
            processes[3]
        processes.close()
    processes.close()


def test_exceptions_that_cannot_be_pickled():
    processes = BatchProcesses(Batches(ValidationError("no", "data"), workers=1))
    with pytest.raises(SimulationError, match="ValidationError: data: no"):
        processes[3]
    processes.close()


def test_garbage_stays(tmp_path):
    """What is garbage here, TensorFlow's objects above all, is not freed in a fork."""

    class Garbage:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            (tmp_path / str(os.getpid())).touch()

    class Collecting(Batches):
        def __getitem__(self, i):
            gc.collect()
            return os.getpid()

    gc.disable()
    try:
        Garbage()
        processes = BatchProcesses(Collecting(workers=1))
        assert processes[0] != os.getpid()
        processes.close()
        assert not list(tmp_path.iterdir())
    finally:
        gc.enable()
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


@pytest.fixture
def sim(Simulator):
    with nengo.Network(seed=0) as net:
        node = nengo.Node([0.0], label="a")
        out = nengo.Node(size_in=1)
        nengo.Connection(node, out, transform=[[1.0]], synapse=None)
        nengo.Probe(out, label="p")
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        yield sim


def test_training(sim):
    """Processes make the batches, and see what changes between epochs."""
    history = sim.fit(Batches(), epochs=2, verbose=0).history
    # Keras ends an epoch before the first one, too; old versions do so while processes
    # may have begun
    assert history["loss"] in ([100**2, 99**2], [99**2, 98**2])


@pytest.mark.parametrize(
    "data, error, message",
    [
        (Batches(error=LookupError("none left")), LookupError, "none left"),
        (Batches(size=2), ValidationError, "2 values per step"),
    ],
    ids=["exception", "wrong batch"],
)
def test_failures(data, error, message, sim):
    with pytest.raises(error, match=message):
        sim.fit(data, verbose=0)
    assert sim.evaluate(Batches(), verbose=0)["loss"] > 90**2
    # no process stays behind
    deadline = time.monotonic() + 30
    while multiprocessing.active_children():
        assert time.monotonic() < deadline
        gc.collect()  # the traceback of the exception
        time.sleep(0.05)
