"""Names that earlier versions had, and what has taken their place."""

from __future__ import annotations

from typing import NoReturn

# Names of `nengo_dl`.
REMOVED_NAMES = {
    "compat": (
        "4; it held what differed between versions of Nengo and TensorFlow, which is "
        "imported from there (`nengo.builder.probe.SimProbe`, `nengo.transforms`, ...)"
    ),
    "objectives": "3; its functions are in `nengo_dl.losses`",
    "tests": (
        "4; for Nengo's own tests, take `nengo_dl.Simulator` as `nengo_simloader`, as "
        "`tests/nengo_simloader.py` in the repository of NengoDL does"
    ),
}


def removed(name: str, what: str) -> AttributeError:
    """
    Return the error for a name that was removed.

    Parameters
    ----------
    name : str
        The name.
    what : str
        Since which version, and what to use instead.
    """
    return AttributeError(f"`{name}` was removed in version {what}")


class RemovedAttribute:
    """
    An attribute that earlier versions had, as `hasattr` and users are to know.

    Parameters
    ----------
    what : str
        Since which version, and what to use instead.
    """

    def __init__(self, what: str):
        self._what = what

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, obj: object, owner: type) -> NoReturn:
        raise removed(self._name, self._what)
