"""Files of parameters that are not what they should be, and what is in them."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import assert_unchanged, live_arrays, small_network

import nengo_dl


def test_no_file(sim, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        sim.load_params(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        sim.save_params(tmp_path / "no directory" / "params")


def test_truncated_files(sim, path, tmp_path):
    data = path.with_suffix(".npz").read_bytes()
    for n in [0, 1, 30, *np.linspace(100, len(data) - 1, 10).astype(int)]:
        (tmp_path / "part.npz").write_bytes(data[:n])
        with pytest.raises(SimulationError, match="part.npz` cannot be read.* damaged"):
            sim.load_params(tmp_path / "part", include_state=True)


def test_damaged_files(Simulator, path, tmp_path):
    """One wrong byte is noticed, or makes no difference."""
    data = path.with_suffix(".npz").read_bytes()
    noticed = 0
    with Simulator(small_network(), unroll_simulation=1) as sim:
        sim.load_params(path, include_state=True)
        before = live_arrays(sim)
        for position in np.linspace(0, len(data) - 1, 100).astype(int):
            damaged = bytearray(data)
            damaged[position] ^= 0xFF
            (tmp_path / "damaged.npz").write_bytes(damaged)
            try:
                sim.load_params(tmp_path / "damaged", include_state=True)
            except SimulationError:
                noticed += 1
            assert_unchanged(sim, before)
    assert noticed > 50


class Bomb:
    def __reduce__(self):
        return exec, ("raise AssertionError('code of the file was executed')",)


def test_foreign_files(sim, tmp_path):
    npz, path = tmp_path / "foreign.npz", tmp_path / "foreign"
    for content in (b"text", pickle.dumps(Bomb()), b"\x93NUMPY" + bytes(100)):
        npz.write_bytes(content)
        with pytest.raises(
            SimulationError, match="cannot be read .*not an archive|not"
        ):
            sim.load_params(path)

    np.savez(npz, arr_0=np.array([Bomb()], dtype=object))
    with pytest.raises(SimulationError, match="cannot be read .*allow_pickle"):
        sim.load_params(path)
    np.savez(npz, weights=np.ones(3), bias=np.ones(3))
    with pytest.raises(SimulationError, match="does not say .* bias, weights"):
        sim.load_params(path)
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("text.txt", "text")
    with pytest.raises(SimulationError, match=r"does not say .* text\.txt"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array("[1, 2"))
    with pytest.raises(SimulationError, match="cannot be read .*JSONDecodeError"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array(json.dumps({"format": 1})))
    with pytest.raises(SimulationError, match="cannot be read .*KeyError"):
        sim.load_params(path)
    np.savez(npz, nengo_dl=np.array(json.dumps({"format": 2, "version": "9.1"})))
    with pytest.raises(SimulationError, match=r"format 2, and .* by NengoDL 9\.1"):
        sim.load_params(path)


def test_failed_save(sim, tmp_path, monkeypatch):
    """The file that was there is still there."""
    sim.save_params(tmp_path / "params")
    before = (tmp_path / "params.npz").read_bytes()

    def fail(file, **arrays):
        file.write(b"something")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space left"):
        sim.save_params(tmp_path / "params")
    assert [p.name for p in tmp_path.iterdir()] == ["params.npz"]
    assert (tmp_path / "params.npz").read_bytes() == before


def test_contents(path):
    """Files can be read without NengoDL."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
        names = [name for name in archive.files if not name.startswith("state")]
        header = json.loads(archive["nengo_dl"].item())
        assert archive["ensembles[0].bias"].shape == (5,)
    assert names == [
        "ensembles[0].encoders",
        "ensembles[0].bias",
        "nodes[0] -> ensembles[0].weights",
        "ensembles[0].built_gain",
        "ensembles[0].built_bias",
        "nengo_dl",
    ]
    assert [entry["name"] for entry in header["parameters"]] == names[:3]
    assert header["version"] == nengo_dl.__version__
    assert header["state"]["n_steps"] == 5
    assert path.with_suffix(".npz").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
