import pickle
from types import SimpleNamespace

import nengo
import numpy as np
import pytest
from nengo.builder.signal import Signal

from nengo_dl.config import Settings
from nengo_dl.simulation.recording import Recording


def make_recording(minibatch_size=2, keep_history=True, **kwargs):
    with nengo.Network(add_to_container=False):
        probe = nengo.Probe(nengo.Node([0, 0, 0]), **kwargs)
    program = SimpleNamespace(
        dt=0.001,
        settings=Settings(minibatch_size=minibatch_size),
        probes={probe: Signal(shape=(3,))},
        without_history=frozenset() if keep_history else frozenset([probe]),
    )
    return probe, Recording(program)


def values(n_steps, first_step=1, minibatch_size=2):
    """Return values that tell step, item and element from each other."""
    steps = np.arange(first_step, first_step + n_steps)
    return (
        100 * steps[:, None, None]
        + 10 * np.arange(minibatch_size)[:, None]
        + np.arange(3)
    )


def test_blocks_follow_each_other():
    probe, recording = make_recording()
    assert recording.data(probe) is None

    recording.add([values(4)], 1, 4)
    recording.add([values(3, first_step=5)], 5, 3)
    data = recording.data(probe)
    assert data.shape == (2, 7, 3)
    assert data[1, 6, 2] == 712

    later = make_recording()[1]
    later.chunks = {probe: [np.zeros((2, 1, 3))]}
    recording.extend(later)
    assert recording.data(probe).shape == (2, 8, 3)

    recording.clear()
    assert recording.data(probe) is None


def test_data_are_read_only():
    probe, recording = make_recording()
    recording.add([values(4)], 1, 4)
    with pytest.raises(ValueError, match="read-only"):
        recording.data(probe)[...] = 0


def test_data_outlive_the_buffer_of_a_block():
    probe, recording = make_recording()
    buffer = values(4)
    recording.add([buffer], 1, 4)
    buffer[...] = 0
    assert recording.data(probe)[0, 0, 1] == 101


def test_signals_without_minibatch_axis():
    probe, recording = make_recording(minibatch_size=5)
    recording.add([values(4)[:, 0]], 1, 4)
    assert recording.data(probe).shape == (5, 4, 3)
    assert (recording.data(probe) == values(4)[:, 0]).all()


@pytest.mark.parametrize("sample_every", [0.001, 0.002, 0.0025, 0.007, 0.0004])
def test_sample_every(sample_every):
    probe, recording = make_recording(sample_every=sample_every)
    for first_step in range(1, 21, 5):
        recording.add([values(5, first_step)], first_step, 5)
    steps = recording.data(probe)[0, :, 0] // 100
    expected = [k for k in range(1, 21) if k % (sample_every / 0.001) < 1]
    assert list(steps) == expected


def test_nothing_sampled():
    probe, recording = make_recording(sample_every=1.0)
    recording.add([values(4)], 1, 4)
    assert recording.data(probe) is None


@pytest.mark.parametrize("sample_every", [None, 0.005])
def test_only_the_last_step(sample_every):
    probe, recording = make_recording(keep_history=False, sample_every=sample_every)
    recording.add([values(4)[-1:]], 1, 4)
    recording.add([values(3, first_step=5)[-1:]], 5, 3)
    assert recording.data(probe).shape == (2, 1, 3)
    assert recording.data(probe)[0, 0, 0] == 700

    later = make_recording(keep_history=False)[1]
    later.chunks = {probe: []}
    recording.extend(later)
    assert recording.data(probe)[0, 0, 0] == 700


def test_pickle():
    probe, recording = make_recording()
    recording.add([values(4)], 1, 4)
    probe, recording = pickle.loads(pickle.dumps((probe, recording)))
    recording.add([values(4, first_step=5)], 5, 4)
    assert (recording.data(probe)[1, :, 2] // 100 == np.arange(1, 9)).all()
