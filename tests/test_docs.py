"""The code in the documentation runs, and what it says of files and classes is true."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from pathlib import Path
from unittest import mock

import pytest
from code_blocks import Block, blocks_of
from package_map import map_on_page, package_map

from nengo_dl.benchmarks.command_line import main
from nengo_dl.builder import Builder
from nengo_dl.graph.increments import INCREMENTS
from nengo_dl.neuron_builders import SimNeuronsBuilder

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
OUTSIDE = [REPOSITORY / "README.rst", REPOSITORY / "CONTRIBUTING.rst"]
TEXTS = [*PAGES, *sorted(DOCS.glob("reference/*.rst")), *OUTSIDE]
README = REPOSITORY / "README.rst"
ALL_TEXTS = sorted({*DOCS.rglob("*.rst"), *REPOSITORY.glob("*.rst")})
RUN = {"testsetup::", "testcode::", "testcleanup::"}

# Python that no test runs, by its first line.
NOT_RUN = {
    # needs NengoDL 3; tests/parameters/test_save_named_params.py calls the function
    "from save_named_params import save_named_params",
}

# The first words of commands, and where they are tried.
COMMANDS = {
    "make": "test_targets_exist",
    "pip install": "test_extras_exist",
    "python -m nengo_dl.benchmarks": "test_benchmarks",
    "python docs/recipes": "tests/test_recipes.py",
    "workers=": "tests/test_recipes.py",
    # sets a variable of TensorFlow
    "export TF_XLA_FLAGS=": "nowhere",
}
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
    "must have rank (ndim) target.ndim - 1",
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
    run_blocks(DOCS / page, RUN, has_code=page not in WITHOUT_CODE)


@pytest.mark.training
def test_readme():
    namespace = run_blocks(README, {"code-block:: python"})
    losses = namespace["history"].history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def run_blocks(path, directives, has_code=True):
    blocks = blocks_of(path.read_text(encoding="utf-8"))
    blocks = [block for block in blocks if block.directive in directives]
    assert bool(blocks) == has_code
    namespace = {"__name__": path.name}
    for block in blocks:
        # blank lines in front, for tracebacks with the right line
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, path, "exec"), namespace)
    return namespace


def not_run(path, blocks):
    """Return the blocks of Python that the tests above do not run."""
    if path == README:
        run = {"code-block:: python"}
    else:
        run = RUN if path in PAGES else set()
    python = [block for block in blocks if block.is_python]
    return [block for block in python if block.directive not in run]


def test_all_python_is_run():
    blocks = [
        block
        for path in ALL_TEXTS
        for block in not_run(path, blocks_of(path.read_text(encoding="utf-8")))
    ]
    assert {block.code.partition("\n")[0] for block in blocks} == NOT_RUN


def test_python_that_is_not_run_is_found():
    text = """
- In a list::

     x = 1

  .. code-block:: python
     :linenos:

     x = 2

.. testcode::

   x = 3
   >>> x
4

>>> x

.. code-block:: bash

   x = 5

A shell::

   make x
"""
    found = not_run(PAGES[0], blocks_of(text))
    assert found == [
        Block("", 4, "x = 1\n"),
        Block("code-block:: python", 9, "x = 2\n"),
        Block("doctest::", 17, ">>> x"),
    ]
    assert len(not_run(DOCS / "elsewhere" / "page.rst", blocks_of(text))) == 4


# -- commands -------------------------------------------------------------------------


def commands_of(block):
    """Return the commands in a block of a shell."""
    text = block.code.replace("\\\n", " ")
    return [line.split("  #")[0] for line in text.splitlines()]


def all_commands():
    """Return the commands in all texts: blocks of a shell, and literals."""
    blocks, literals = [], []
    for path in ALL_TEXTS:
        text = path.read_text(encoding="utf-8")
        blocks += [block for block in blocks_of(text) if not block.is_python]
        literals += re.findall(r"``([^`]+)``", re.sub(r"\s+", " ", text))
    shell = [block for block in blocks if re.match("python|make|pip", block.code)]
    commands = [command for block in shell for command in commands_of(block)]
    return commands + [x for x in literals if x.startswith(tuple(COMMANDS))]


def test_all_commands_are_tried():
    """A block of a shell begins with something that is tried."""
    for path in ALL_TEXTS:
        for block in blocks_of(path.read_text(encoding="utf-8")):
            if block.directive in ("code-block:: bash", "code-block:: console"):
                assert block.code.startswith(tuple(COMMANDS)), block


def test_targets_exist():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE)
    named = [
        re.sub(r"\w+=(\"[^\"]*\"|\S+)", "", command).split()[1:2]
        for command in all_commands()
        if command.startswith("make ")
    ]
    assert len(named) > 20
    assert {name for names in named for name in names} <= {*targets, "..."}


def test_extras_exist():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^([\w-]+) = \[", text, flags=re.MULTILINE))
    named = [re.search(r"(?:\.|nengo-dl)\[(.*)\]", x) for x in all_commands()]
    named = {name for match in named if match for name in match[1].split(",")}
    assert {"tests", "lint", "loihi", "sweeps"} <= named <= extras


class Parsed(Exception):
    """The arguments are right, which is all that there is to know."""


def parse_and_stop(parser, arguments):
    parse(parser, arguments)
    raise Parsed


parse = argparse.ArgumentParser.parse_args


def test_benchmarks():
    """The commands of the pages have arguments that the benchmarks accept."""
    prefix = "python -m nengo_dl.benchmarks"
    commands = {shlex.join(shlex.split(x)) for x in all_commands()}
    commands = {x for x in commands if x.startswith(prefix)}
    assert len(commands) > 8
    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse_and_stop):
        for command in commands:
            with pytest.raises(Parsed):
                main(shlex.split(command.removeprefix(prefix)))


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
