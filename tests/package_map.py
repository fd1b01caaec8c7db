"""
The map in ``docs/architecture.rst``: one entry for every file of the package.

In: the docstrings of the modules, and the layers. Out: the text of the map. To bring
the page up to date, run ``python tests/package_map.py``; a test fails if it is not.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

from test_architecture import BASICS, GRAPH_LAYER, PACKAGE, TENSOR_LAYER, USER_LAYER

PAGE = Path(__file__).parent.parent / "docs" / "architecture.rst"
START = ".. The map: written by tests/package_map.py from the docstrings of modules.\n"
END = ".. The end of the map.\n"

TITLES = {
    "Basics": ["__init__", *BASICS],
    "Graph: no tensor, no TensorFlow": GRAPH_LAYER,
    "Tensors": TENSOR_LAYER,
    "What users meet": USER_LAYER,
}

# Column where the descriptions start, and where lines end.
COLUMN, WIDTH = 32, 88


def first_line(path: Path) -> str:
    """Return what the docstring of a module says in its first paragraph."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"
    line = " ".join(docstring.split("\n\n")[0].split())
    return line.replace(" of the pipeline)", ")")


def entries(path: Path, depth: int = 0) -> list[str]:
    """Return the lines about a file, or about a folder and what is in it."""
    if path.is_dir():
        lines = entry(f"{path.name}/", path / "__init__.py", depth)
        for child in sorted(path.iterdir(), key=lambda p: (p.is_dir(), p.name)):
            if child.suffix == ".py" and child.stem != "__init__" or is_package(child):
                lines += entries(child, depth + 1)
        return lines
    return entry(path.stem, path, depth)


def entry(name: str, path: Path, depth: int) -> list[str]:
    """Return the lines about one file."""
    start = f"{'':{3 + 2 * depth}}{name}".ljust(COLUMN - 1) + " "
    return textwrap.wrap(
        first_line(path), WIDTH, initial_indent=start, subsequent_indent=" " * COLUMN
    )


def is_package(path: Path) -> bool:
    return (path / "__init__.py").exists()


def package_map() -> str:
    """Return the map as RST."""
    parts = []
    for title, modules in TITLES.items():
        lines = []
        for module in modules:
            path = PACKAGE / module
            path = path if is_package(path) else path.with_suffix(".py")
            # the layers also list what is still to come
            lines += entries(path) if path.exists() else []
        parts.append(f"**{title}** ::\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def map_on_page() -> str:
    """Return the map that the page has."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(START)
    text, end, _ = rest.partition(END)
    assert found and end, f"{PAGE} has no place for the map"
    return text


def update_page() -> None:
    """Write the map into the page."""
    page = PAGE.read_text(encoding="utf-8")
    old = START + map_on_page() + END
    new = f"{START}\n{package_map()}\n{END}"
    PAGE.write_text(page.replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    update_page()
