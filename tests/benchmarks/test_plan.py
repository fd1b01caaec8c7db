import sys

from nengo_dl.benchmarks.measure import Run
from nengo_dl.benchmarks.plan import Choice, plan_runs, plan_training, reference_runs


def test_plan_of_runs():
    choice = Choice(("nengo", "nengo_dl", "release"), (1, 32), release_python="other")
    runs = plan_runs("channel", "speed", choice, batched=True, unrolled=True)

    who = [(run.competitor, run.minibatch, run.unroll) for run in runs]
    assert who == [
        ("nengo", None, 1),
        ("nengo_dl", 1, 1),
        ("release", 1, 1),
        ("release", 1, 20),
        ("nengo_dl", 32, 1),
        ("release", 32, 1),
        ("release", 32, 20),
    ]
    assert reference_runs(runs) == [Run("nengo", "channel", "first", python="other")]


def test_plan_of_training():
    everybody = ("nengo", "nengo_dl", "keras", "release", "release_keras")
    choice = Choice(everybody, (1, 2), release_python="other", device="/cpu:0")

    runs = plan_training("autoencoder", choice)
    assert [(run.competitor, run.backend, run.python, run.unroll) for run in runs] == [
        ("nengo_dl", "nengo_dl", sys.executable, 1),
        ("keras", "keras", sys.executable, 1),
        ("release", "nengo_dl", "other", 1),
        ("release_keras", "keras", "other", 1),
    ]
    assert [run.device for run in runs] == ["/cpu:0", "/cpu:0", None, None]
    assert all(run.minibatch == 50 for run in runs)
    assert not any(run.inference_only for run in runs)
    assert reference_runs(runs) == []

    runs = plan_training("recurrent", choice)
    assert [(run.competitor, run.minibatch, run.unroll) for run in runs] == [
        ("nengo_dl", 32, 1),
        ("release", 32, 1),
        ("release", 32, 20),
    ]
