"""
The version of NengoDL, and the versions of Nengo that it is made for.

Semantic versioning; ``.dev<n>`` is added between releases. ``version`` is a literal
because the build reads it without importing the package; a test keeps it equal to
``version_info`` and ``dev``.
"""

import warnings

version_info = (4, 0, 0)
dev: int | None = 0
version = "4.0.0.dev0"

name = "nengo-dl"
copyright = "Copyright (c) 2026 NengoDL contributors"

minimum_nengo_version = (4, 0, 0)
latest_nengo_version = (4, 1, 0)


def check_nengo_version() -> None:
    """
    Compare the installed Nengo with the versions that NengoDL is made for.

    Nothing happens if Nengo is not installed.

    Raises
    ------
    ValueError
        If Nengo is older than ``minimum_nengo_version``.

    Warns
    -----
    UserWarning
        If Nengo is newer than ``latest_nengo_version``.
    """
    try:
        from nengo.version import version as nengo_version
        from nengo.version import version_info as nengo_version_info
    except ImportError:
        return

    if nengo_version_info < minimum_nengo_version:
        raise ValueError(
            f"NengoDL {version} needs Nengo >= {_dotted(minimum_nengo_version)}, but "
            f"Nengo {nengo_version} is installed; update it with "
            "`pip install --upgrade nengo`"
        )
    if nengo_version_info > latest_nengo_version:
        warnings.warn(
            f"This version of NengoDL ({version}) has not been tested with Nengo "
            f"{nengo_version}; the latest version it was tested with is "
            f"{_dotted(latest_nengo_version)}. If something goes wrong, update NengoDL "
            "or install that version of Nengo",
            stacklevel=2,
        )


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


check_nengo_version()
