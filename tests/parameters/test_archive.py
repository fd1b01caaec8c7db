"""How archives are written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_dl.parameters import archive
from nengo_dl.parameters.archive import archive_path, read_archive, write_archive


def write(path, value=1.0):
    write_archive(path, {"x": np.array(value)})


def read(path):
    with read_archive(path) as arrays:
        return np.asarray(arrays["x"]).item()


@pytest.mark.parametrize("path", [None, "", "dir/", ".", "a/..", b"x", 3, "a\0b"])
def test_bad_names(path, tmp_path, sim):
    for call in (archive_path, sim.save_params, sim.load_params):
        with pytest.raises(ValidationError, match="path: must be the name of a file"):
            call(path)


def test_names(tmp_path):
    assert archive_path("a/b") == Path("a/b.npz")
    assert archive_path(tmp_path) == tmp_path.with_name(f"{tmp_path.name}.npz")
    assert archive_path("x.npz") == Path("x.npz.npz")
    for n in (1, 218, 251):
        write(tmp_path / ("n" * n + ".npz"), n)
        assert read(tmp_path / ("n" * n + ".npz")) == n
    with pytest.raises(OSError, match="name too long: .*nnn.npz") as error:
        write(tmp_path / ("n" * 252 + ".npz"))
    assert error.value.errno == errno.ENAMETOOLONG
    assert len(list(tmp_path.iterdir())) == 3


def test_links(tmp_path):
    """What a link points to is replaced, not the link."""
    (tmp_path / "real").mkdir()
    for name, target in [("link.npz", "real/x.npz"), ("broken.npz", "real/new.npz")]:
        os.symlink(target, tmp_path / name)
        if name == "link.npz":
            write(tmp_path / target)
        write(tmp_path / name, 2)
        assert (tmp_path / name).is_symlink()
        assert read(tmp_path / target) == read(tmp_path / name) == 2


def test_mode_of_the_file(tmp_path):
    write(tmp_path / "x.npz")
    (tmp_path / "x.npz").chmod(0o600)
    write(tmp_path / "x.npz", 2)
    assert (tmp_path / "x.npz").stat().st_mode & 0o777 == 0o600


def test_places_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="`.*none` does not exist; create it"):
        write(tmp_path / "none" / "x.npz")
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(OSError, match="dir.npz"):
        write(tmp_path / "dir.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["dir.npz"]


KILLED = """
import os, signal, sys
import numpy as np
from nengo_dl.parameters.archive import write_archive

def write(file, **arrays):
    file.write(b"something")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

np.savez_compressed = write
write_archive(__import__("pathlib").Path(sys.argv[1]), {})
"""


@pytest.mark.skipif(archive.fcntl is None, reason="no signals, no locks")
def test_killed(tmp_path):
    """What a killed process leaves is removed; what others write is not."""
    path = tmp_path / "x.npz"
    write(path)
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert len(list(tmp_path.iterdir())) == 2 and read(path) == 1
    with archive._temporary_file(tmp_path) as file:
        assert len(list(tmp_path.iterdir())) == 3
        write(path, 2)
        left = {entry.name for entry in tmp_path.iterdir()}
        assert left == {"x.npz", Path(file.name).name}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]
    assert read(path) == 2
