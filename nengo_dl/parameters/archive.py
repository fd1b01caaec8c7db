"""
NumPy archives that nobody has to trust, and that are written as a whole.

In: arrays by name. Out: a file that is complete or not there; and the arrays of a file,
of which only shapes and types are read until somebody wants the values. Nothing in a
file is ever executed.
"""

from __future__ import annotations

import math
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from nengo.exceptions import SimulationError, ValidationError

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is being written
    fcntl = None  # type: ignore[assignment]

# How files are called until they are complete: short, whatever their name will be.
TEMPORARY = ".nengo_dl-{}.tmp"


def archive_path(path: Any) -> Path:
    """
    Return the path of the archive of which a user gave the name without extension.

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is not the name of a file.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if (
        not isinstance(text, str)
        or "\0" in text
        or os.path.basename(text) in ("", os.curdir, os.pardir)
    ):
        raise ValidationError(
            "must be the name of a file, a text or path without `.npz` (received: "
            f"{path!r})",
            attr="path",
        )
    return Path(f"{text}.npz")


class StoredArray:
    """
    An array of a file; as an argument of `numpy.asarray`, its values are read.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The archive, which has to be open as long as values are read.
    entry : zipfile.ZipInfo
        Where the array is.
    path : pathlib.Path
        The file, for errors.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        As the file says, which is as large as it says.
    """

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path):
        self._archive, self._entry, self._path = archive, entry, path
        with archive.open(entry) as stream:
            # (headers of later versions may have gigabytes)
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError(f"`{entry.filename}` is of a newer version of NumPy")
            header = np.lib.format.read_array_header_1_0(stream)
            start = stream.tell()
        self.shape, _, self.dtype = header
        if self.dtype.hasobject:
            raise ValueError(f"`{entry.filename}` holds objects (allow_pickle=False)")
        size = math.prod(self.shape) * self.dtype.itemsize
        if min(self.shape, default=0) < 0 or start + size != entry.file_size:
            raise ValueError(f"`{entry.filename}` has not the size that it says")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        with explained(self._path), self._archive.open(self._entry) as stream:
            value = np.lib.format.read_array(stream, allow_pickle=False)
        return value if dtype is None else value.astype(dtype)


@contextmanager
def read_archive(path: Path) -> Iterator[dict[str, StoredArray | None]]:
    """
    Return a context with the arrays of a file, which can be read inside of it.

    Parameters
    ----------
    path : pathlib.Path
        Where the file is.

    Returns
    -------
    arrays : dict of {str: StoredArray or None}
        None for what is no array.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.SimulationError
        If it is damaged, or no archive.
    """
    if not path.exists():
        hint = ""
        if path.stem.endswith(".npz") and path.with_name(path.stem).exists():
            hint = "; `.npz` is added to the name, leave it out"
        raise FileNotFoundError(f"There is no file `{path}`{hint}")
    with ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        with explained(path):
            if not zipfile.is_zipfile(file):
                raise ValueError("it is not (or not all of) an archive")
            archive = stack.enter_context(zipfile.ZipFile(file))
            arrays = {
                entry.filename.removesuffix(".npy"): StoredArray(archive, entry, path)
                if entry.filename.endswith(".npy")
                else None
                for entry in archive.infolist()
            }
        yield arrays


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be read."""
    try:
        yield
    # what is raised depends on which of the bytes are wrong
    except Exception as err:
        raise SimulationError(
            f"`{path}` cannot be read ({type(err).__name__}: {err}). It is damaged, or "
            "was not written by `Simulator.save_params`."
        ) from err


def write_archive(path: Path, arrays: Mapping[str, Any]) -> None:
    """
    Write a file, or else leave everything as it is.

    Parameters
    ----------
    path : pathlib.Path
        Where to. The file that is there (or that a link there points to) is replaced
        once the new one is complete.
    arrays : dict of {str: array}
        The arrays.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The directory `{target.parent}` does not exist; create it first"
        )
    _remove_leftovers(target.parent)
    try:
        with _temporary_file(target.parent) as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, file.name)
            if fcntl is None:
                file.close()
            os.replace(file.name, target)
    except OSError as err:
        if err.errno is None:
            raise
        raise type(err)(err.errno, err.strerror, str(path)) from err


@contextmanager
def _temporary_file(directory: Path) -> Iterator[IO[bytes]]:
    """Return a context with a new file, which is removed in the end if it is there."""
    file = _locked_file(directory)
    # until it is locked, somebody may have taken it for left over
    while not os.path.exists(file.name):
        file.close()
        file = _locked_file(directory)
    try:
        with file:
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


def _locked_file(directory: Path) -> IO[bytes]:
    file = open(directory / TEMPORARY.format(uuid.uuid4().hex), "xb")
    # where files cannot be locked, nobody removes those of others
    with suppress(OSError):
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _remove_leftovers(directory: Path) -> None:
    """Remove the files of processes that were killed while they wrote."""
    for path in directory.glob(TEMPORARY.format("*")):
        # others still write it, or have removed it
        with suppress(OSError):
            if fcntl is not None:
                with open(path, "r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
