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
OUTSIDE = [REPOSITORY / "README.rst", REPOSITORY / "CONTRIBUTING.rst"]
TEXTS = [*PAGES, *sorted(DOCS.glob("reference/*.rst")), *OUTSIDE]
WITHOUT_CODE = [
    "changes.rst",
    "comparisons.rst",
    "contributing.rst",
    "distributed.rst",
    "examples.rst",
    "glossary.rst",
    "index.rst",
    "license.rst",
]

pytestmark = pytest.mark.once

# On the page of errors.
MESSAGES_OF_OTHERS = {
    "You must call compile",
    "type object 'Ensemble' has no attribute 'trainable'",
}

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


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_code_of_page(page):
    run_blocks(DOCS / page, "testcode::", has_code=page not in WITHOUT_CODE)


@pytest.mark.training
def test_readme():
    namespace = run_blocks(REPOSITORY / "README.rst", "code-block:: python")
    losses = namespace["history"].history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def run_blocks(path, directive, has_code=True):
    text = path.read_text(encoding="utf-8")
    blocks = list(re.finditer(rf"\.\. {directive}\n\n((?:   .*\n|\n)+)", text))
    assert bool(blocks) == has_code
    namespace = {"__name__": path.name}
    for block in blocks:
        # blank lines in front, for tracebacks with the right line
        code = "\n" * text.count("\n", 0, block.start(1)) + textwrap.dedent(block[1])
        exec(compile(code, path, "exec"), namespace)
    return namespace


# -- what the pages say ---------------------------------------------------------------


def test_map():
    """If this fails, run ``python tests/package_map.py``."""
    assert map_on_page().strip() == package_map().strip()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_files_exist(path):
    text = path.read_text(encoding="utf-8")
    links = set(re.findall(r"<([\w./-]+\.(?:py|rst|ipynb))>", text))
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


def test_messages_exist():
    """The messages on the page of errors are those of the package."""
    text = (DOCS / "training_errors.rst").read_text(encoding="utf-8")
    tables = re.sub(
        r"\s+", " ", text[text.index("Errors\n===") : text.index("No message")]
    )
    messages = [
        message
        for cell in re.findall(r" \* - (.*?) - ", tables)
        for message in re.findall("``(.+?)``", cell)
    ]
    assert len(messages) > 20
    ours = "\n".join(strings_of_package()).replace("`", "")
    missing = [
        message
        for message in messages
        for part in message.split("...")
        if part.strip() not in ours and message not in MESSAGES_OF_OTHERS
    ]
    assert missing == []


def strings_of_package():
    """Yield all strings in the package, with dots for what is filled in."""
    for path in (REPOSITORY / "nengo_dl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                yield "".join(p if isinstance(p, str) else "..." for p in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


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
