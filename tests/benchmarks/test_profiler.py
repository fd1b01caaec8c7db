import nengo
import pytest

import nengo_dl
from nengo_dl import benchmarks

RELU = nengo.RectifiedLinear()


def network_without_input():
    with nengo.Network(seed=0) as net:
        net.p = nengo.Probe(nengo.Ensemble(10, 1))
    return net


@pytest.mark.parametrize(
    "train", [False, pytest.param(True, marks=pytest.mark.training)]
)
@pytest.mark.parametrize(
    "net",
    [
        benchmarks.integrator(2, 5, RELU),
        benchmarks.cconv(2, 6, RELU),
        network_without_input(),
    ],
)
def test_run_profile(net, train, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    seconds = benchmarks.run_profile(net, train, 10, reps=2, device="/cpu:0")

    assert 0 < seconds < 60
    assert (tmp_path / "profile").is_dir()
    assert nengo_dl.config.get_setting(net, "inference_only") == (not train)
    printed = capsys.readouterr().out
    assert "Warmup time:" in printed
    assert f"Execution time: {seconds:.6g}" in printed
