"""Files of parameters that are not what they should be, and what is in them."""

import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from nengo.exceptions import SimulationError
from parameters.networks import (
    assert_unchanged,
    in_single_precision,
    live_arrays,
    small_network,
)

import nengo_dl


def test_no_file(sim, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        sim.load_params(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no directory` does not exist"):
        sim.save_params(tmp_path / "no directory" / "params")
    (tmp_path / "there.npz").write_text("")
    with pytest.raises(FileNotFoundError, match="`.npz` is added to the name, leave"):
        sim.load_params(tmp_path / "there.npz")


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
    with Simulator(in_single_precision(), unroll_simulation=1) as sim:
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


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def rewritten(path, target, entries=(), **header):
    """Write a copy of a file with other entries, or with others in its header."""
    with zipfile.ZipFile(path.with_suffix(".npz")) as source:
        contents = {name: source.read(name) for name in source.namelist()}
    old = json.loads(np.load(path.with_suffix(".npz"))["nengo_dl"].item())
    contents["nengo_dl.npy"] = npy(np.array(json.dumps({**old, **header})))
    contents.update(entries)
    with zipfile.ZipFile(target.with_suffix(".npz"), "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return target


BIAS = "ensembles[0].bias"
STATE = {"n_steps": 5, "description": {}}


@pytest.mark.parametrize(
    "value, message",
    [
        (np.full(5, np.nan), f"{re.escape(BIAS)} has NaN"),
        (np.full(5, -np.inf), "infinite numbers"),
        (np.full(5, 1e300), "too large for float32"),
        (np.full(5, 1 + 2j), "an array of complex128 in the file, not of float32"),
        (np.full(5, "a"), "an array of <U1"),
        (np.full(5, b"a"), "an array of |S1"),
        (np.full(5, 1, "datetime64[s]"), "an array of datetime64"),
        (np.zeros(5, [("x", "f4")]), "an array of"),
        (np.zeros((5, 1)), r"has shape \(5, 1\) in the file"),
    ],
)
def test_values_that_are_no_parameters(value, message, sim, path, tmp_path):
    entries = {f"{BIAS}.npy": npy(value)}
    with pytest.raises(SimulationError, match=message):
        sim.load_params(rewritten(path, tmp_path / "bad", entries))
    if value.dtype.kind != "f" or np.isnan(value).any():
        entries = {"ensembles[0].built_gain.npy": npy(value)}
        with pytest.raises(SimulationError, match="built_gain.*the file is damaged"):
            sim.load_params(rewritten(path, tmp_path / "neurons", entries))


def test_other_types_of_numbers(Simulator, path, tmp_path):
    with Simulator(small_network(), unroll_simulation=1) as sim:
        ens = sim.model.toplevel.ensembles[0]
        for dtype in (np.float64, np.float16, np.int8, bool, ">f4"):
            entries = {f"{BIAS}.npy": npy(np.ones(5, dtype))}
            sim.load_params(rewritten(path, tmp_path / "typed", entries))
            assert (sim.data[ens].bias == 1).all()
            sim.load_params(path)


@pytest.mark.parametrize(
    "header, message",
    [
        ({"parameters": 1}, "TypeError"),
        ({"neurons": [{}]}, "KeyError"),
        ({"state": []}, "TypeError"),
        ({"state": {**STATE, "n_steps": -5}}, "at least 0, not -5"),
        ({"state": {**STATE, "n_steps": "5"}}, "at least 0, not '5'"),
        ({"state": {**STATE, "n_steps": True}}, "at least 0, not True"),
        ({"state": {**STATE, "description": []}}, "is no dictionary"),
        ({"state": {**STATE, "description": {"a": 1}}}, "KeyError"),
        ({"state": STATE}, "is nothing in the file"),
    ],
)
def test_bad_headers(header, message, sim, path, tmp_path):
    with pytest.raises(SimulationError, match=message):
        sim.load_params(rewritten(path, tmp_path / "bad", **header), True)


def test_header_of_another_type(sim, path, tmp_path):
    for content in ([1], "text", None, 3.5):
        entries = {"nengo_dl.npy": npy(np.array(json.dumps(content)))}
        with pytest.raises(SimulationError, match="its header is no dictionary"):
            sim.load_params(rewritten(path, tmp_path / "bad", entries))
    for array in (np.zeros(3), np.array(["{}", "{}"])):
        with pytest.raises(SimulationError, match="cannot be read"):
            entries = {"nengo_dl.npy": npy(array)}
            sim.load_params(rewritten(path, tmp_path / "bad", entries))


def test_state_is_checked_like_the_rest(sim, path, tmp_path):
    with np.load(path.with_suffix(".npz")) as archive:
        arrays = {n: archive[n] for n in archive.files if n.startswith("state.")}
        state = json.loads(archive["nengo_dl"].item())["state"]
    floats = [name for name, value in arrays.items() if value.dtype.kind == "f"]
    for value, message in [
        (np.ones(3), "state is that of another network"),
        (arrays[floats[0]].astype("f8"), "state is that of another network"),
        (np.full_like(arrays[floats[0]], np.nan), "has NaN"),
    ]:
        entries = {f"{floats[0]}.npy": npy(value), f"{BIAS}.npy": npy(np.zeros(5))}
        with pytest.raises(SimulationError, match=message):
            sim.load_params(rewritten(path, tmp_path / "bad", entries), True)
    other = {**state, "n_steps": 6}
    with pytest.raises(SimulationError, match="`n_steps` is 6, and the counter .* 5"):
        sim.load_params(rewritten(path, tmp_path / "steps", state=other), True)


@pytest.mark.parametrize("name", [BIAS, "ensembles[0].built_bias", "nengo_dl"])
def test_nothing_large_is_read(name, sim, path, tmp_path):
    """Of a gigabyte of zeros, only the shape is."""
    rewritten(path, tmp_path / "bomb")
    with zipfile.ZipFile(tmp_path / "bomb.npz") as file:
        contents = {n: file.read(n) for n in file.namelist() if n != f"{name}.npy"}
    header = {"descr": "<U250000000" if name == "nengo_dl" else "<f4"}
    header.update(fortran_order=False, shape=() if name == "nengo_dl" else (2**28,))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for other, content in contents.items():
            file.writestr(other, content)
        info = zipfile.ZipInfo(f"{name}.npy")
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        file.writestr(info, buffer.getvalue())
        size = len(buffer.getvalue()) + (10**9 if name == "nengo_dl" else 2**30)
    # what the archive says of the size of the entry is not true, but not looked at
    content = (tmp_path / "bomb.npz").read_bytes()
    small = struct.pack("<L", len(buffer.getvalue()))
    central = content.rindex(b"PK\x01\x02")
    at = content.index(small + struct.pack("<H", len(info.filename)), central)
    patched = content[:at] + struct.pack("<L", size) + content[at + 4 :]
    (tmp_path / "bomb.npz").write_bytes(patched)
    match = "too large" if name == "nengo_dl" else "shape|loaded"
    tracemalloc.start()
    if name == BIAS or name == "nengo_dl":
        with pytest.raises(SimulationError, match=match):
            sim.load_params(tmp_path / "bomb")
    else:
        with nengo_dl.Simulator(
            small_network(), device="/cpu:0", progress_bar=False
        ) as other:
            other.load_params(tmp_path / "bomb")
    assert tracemalloc.get_traced_memory()[1] < 1e8
    tracemalloc.stop()


def test_arrays_are_as_large_as_they_say(sim, path, tmp_path):
    for content in (npy(np.zeros(5)) + b"more", npy(np.zeros(5))[:-1], b"", b"text"):
        with pytest.raises(SimulationError, match="cannot be read"):
            entries = {f"{BIAS}.npy": content}
            sim.load_params(rewritten(path, tmp_path / "bad", entries))
    with pytest.raises(SimulationError, match="newer version of NumPy"):
        later = io.BytesIO()
        np.lib.format.write_array(later, np.zeros(5), version=(2, 0))
        entries = {f"{BIAS}.npy": later.getvalue()}
        sim.load_params(rewritten(path, tmp_path / "bad", entries))


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
