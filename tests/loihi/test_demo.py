"""The demonstration: trained here, frozen, pickled, run in NengoLoihi's emulator."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

loihi = pytest.importorskip("demo.loihi")

RUN_ELSEWHERE = """
import pickle, sys, warnings
for name in ("tensorflow", "keras", "nengo_dl"):
    sys.modules[name] = None  # as if it were not installed
warnings.simplefilter("ignore")
import nengo_loihi, numpy as np
with open(sys.argv[1], "rb") as file:
    net = pickle.load(file)
with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
    sim.run_steps(200)
np.save(sys.argv[2], sim.data[net.average])
"""


@pytest.mark.training
def test_demo(tmp_path, capsys):
    figure = tmp_path / "figure.png"
    loihi.main(["--images", "60", "--figure", str(figure)])
    output = capsys.readouterr().out
    correct = dict(re.findall(r"(\w+) +correct +([\d.]+) %", output))
    assert float(correct["NengoDL"]) > 85
    assert correct["Nengo"] == correct["NengoDL"]
    assert float(correct["emulator"]) >= 0.95 * float(correct["NengoDL"])
    assert float(re.search(r"differ by (\S+) at most", output).group(1)) < 1e-7
    assert float(re.search(r"correlation of ([\d.]+)\.", output).group(1)) > 0.95
    rates = re.findall(r"rates +([\d.]+) and +([\d.]+) Hz", output)
    ours, _, emulated = np.array(rates, dtype=float)
    np.testing.assert_allclose(emulated, ours, rtol=0.02)
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.training
def test_pickle_runs_elsewhere(tmp_path):
    """The frozen network needs neither TensorFlow nor this package."""
    (images, labels), (test_images, _) = loihi.load_images(2)
    net = loihi.make_network()
    loihi.train(net, images[:100], labels[:100], epochs=1)
    loihi.show(net, test_images)
    here = loihi.run(net, "emulator", 2)[net.average]
    paths = [str(tmp_path / name) for name in ("net.pkl", "data.npy")]
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(net))
    subprocess.run([sys.executable, "-c", RUN_ELSEWHERE, *paths], check=True)
    assert here.any()
    np.testing.assert_array_equal(np.load(paths[1]), here)
