"""The code in the documentation runs, and what it says of files and classes is true."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest
from package_map import map_on_page, package_map

from nengo_dl.builder import Builder
from nengo_dl.graph.increments import INCREMENTS
from nengo_dl.neuron_builders import SimNeuronsBuilder

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
TEXTS = [*PAGES, REPOSITORY / "README.rst", REPOSITORY / "CONTRIBUTING.rst"]
WITHOUT_CODE = ["glossary.rst"]

# Files in examples and rules.
IMAGINED = {
    "nengo_dl/x/y.py",
    "op_builders/absolute.py",
    "tests/op_builders/test_absolute.py",
    "tests/x/test_y.py",
}


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    impl = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    monkeypatch.setattr(SimNeuronsBuilder, "TF_NEURON_IMPL", impl)
    increments = dict(INCREMENTS)
    yield
    INCREMENTS.clear()
    INCREMENTS.update(increments)


@pytest.mark.parametrize("page", sorted(p.name for p in DOCS.glob("*.rst")))
def test_code_of_page(page):
    run_blocks(DOCS / page, "testcode::", has_code=page not in WITHOUT_CODE)


@pytest.mark.training
def test_readme():
    namespace = run_blocks(REPOSITORY / "README.rst", "code-block:: python")
    losses = namespace["history"].history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def run_blocks(path, directive, has_code=True):
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(rf"\.\. {directive}\n\n((?:   .*\n|\n)+)", text)
    assert bool(blocks) == has_code
    namespace = {"__name__": path.name}
    for block in blocks:
        exec(compile(textwrap.dedent(block), path, "exec"), namespace)
    return namespace


# -- what the pages say ---------------------------------------------------------------


def test_map():
    """If this fails, run ``python tests/package_map.py``."""
    assert map_on_page().strip() == package_map().strip()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_files_exist(path):
    text = path.read_text(encoding="utf-8")
    links = set(re.findall(r"<([\w./]+\.(?:py|rst))>", text))
    assert all((path.parent / link).exists() for link in links), links
    literals = re.findall(r"``((?:\w+/)*(?:\w+\.(?:py|rst))?)``", text)
    scripts = re.findall(r"\bpython\s+([\w/]+\.py)", text)
    for name in {*filter(None, literals), *scripts} - IMAGINED:
        parents = (REPOSITORY, REPOSITORY / "nengo_dl", REPOSITORY / "tests")
        assert any((parent / name).exists() for parent in parents), name


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_members_exist(path):
    """What is written as ``Class.member`` is a member of the class."""
    text = path.read_text(encoding="utf-8")
    members = members_of_classes()
    for name, member in re.findall(r"``([A-Z]\w+)\.(\w+)", text):
        assert name not in members or member in members[name], f"{name}.{member}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_length_of_lines(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 88] == []


def members_of_classes():
    """Return the names in the body of each class of the package, by its name."""
    members = {}
    for path in sorted((REPOSITORY / "nengo_dl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = members.setdefault(node.name, set())
                for child in ast.walk(node):
                    if isinstance(child, ast.FunctionDef):
                        names.add(child.name)
                    elif isinstance(child, ast.Name):
                        names.add(child.id)
                    elif isinstance(child, ast.Attribute):
                        names.add(child.attr)
    return members
