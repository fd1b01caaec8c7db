"""Every public object has a docstring in the form of numpydoc, with all parameters."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from test_public_names import MODULES

import nengo_dl

PACKAGE = Path(nengo_dl.__file__).parent
REFERENCE = PACKAGE.parent / "docs" / "reference"

PUBLIC_MODULES = [*MODULES, "efficiency", "layers", "loihi"]
TITLES = {
    "Parameters",
    "Attributes",
    "Examples",
    "Returns",
    "Raises",
    "Warns",
    "Notes",
    "References",
}

pytestmark = pytest.mark.once

# What takes keyword arguments that its docstring names one by one.
BY_KEYWORD = {"config.configure_settings"}


def sections_of(doc):
    """Return the text of the sections of a docstring, by title ("" for the summary)."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", inspect.cleandoc(doc), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def described(section):
    """Return the names that a section of parameters describes."""
    lines = re.findall(r"^([*\w].*)$", section, flags=re.MULTILINE)
    names = [name for line in lines for name in line.partition(" : ")[0].split(",")]
    return {name.strip().lstrip("*") for name in names}


def parameters_of(function):
    names = inspect.signature(function).parameters
    return {name for name in names if not name.startswith("_")} - {"self", "cls"}


def wrong_parameters(name, function, doc):
    """Return what is wrong with the section of parameters of a docstring, or None."""
    wanted, sections = parameters_of(function), sections_of(doc)
    if "Parameters" not in sections:
        # a single sentence can say all that there is to say
        return f"{name}: {wanted}" if wanted and "\n\n" in doc.strip() else None
    given = described(sections["Parameters"])
    return None if given == wanted else f"{name}: {given ^ wanted}"


def public_objects():
    """Yield the names of all public classes and functions of ours, and these."""
    seen = set()
    for module in PUBLIC_MODULES:
        namespace = importlib.import_module(f"nengo_dl.{module}")
        names = [*getattr(namespace, "__all__", ()), *MODULES.get(module, ())]
        for name in names or [n for n in vars(namespace) if not n.startswith("_")]:
            obj = getattr(namespace, name)
            is_ours = getattr(obj, "__module__", "").startswith("nengo_dl")
            if is_ours and callable(obj) and id(obj) not in seen:
                seen.add(id(obj))
                yield f"{module}.{name}", obj


def methods_of(cls):
    """Yield the public methods and properties in the body of a class."""
    for name, member in vars(cls).items():
        member = getattr(member, "__func__", getattr(member, "fget", member))
        if inspect.isfunction(member) and not name.startswith("_"):
            overrides = any(name in vars(base) for base in cls.__mro__[1:])
            yield name, member, overrides


def has_parameters_of_its_own(cls):
    if not inspect.isfunction(vars(cls).get("__init__")):
        return False
    inherited = super(cls, cls).__init__
    return parameters_of(cls.__init__) != parameters_of(inherited)


OBJECTS = dict(public_objects())
CLASSES = {name: obj for name, obj in OBJECTS.items() if inspect.isclass(obj)}
FUNCTIONS = {name: obj for name, obj in OBJECTS.items() if inspect.isfunction(obj)}
OWN_CLASSES = {
    base: name
    for name, cls in CLASSES.items()
    for base in cls.__mro__
    if base.__module__.startswith("nengo_dl")
}
METHODS = {
    f"{base.__module__}.{base.__qualname__}.{name}": (method, overrides)
    for base in OWN_CLASSES
    for name, method, overrides in methods_of(base)
}


def test_there_is_something_to_test():
    assert "simulator.Simulator" in CLASSES and len(CLASSES) > 100
    assert "config.configure_settings" in FUNCTIONS and len(FUNCTIONS) > 40
    assert "nengo_dl.training.methods.KerasMethods.fit" in METHODS
    assert len(METHODS) > 250


def test_modules():
    paths = [path for path in PACKAGE.rglob("*.py") if path.read_text().strip()]
    missing = [path for path in paths if not re.match(r'r?"""', path.read_text())]
    assert missing == []


def test_all_have_docstrings():
    methods = {name: method for name, (method, _) in METHODS.items()}
    everything = {**OBJECTS, **methods}
    assert [name for name, obj in everything.items() if not inspect.getdoc(obj)] == []


def test_titles():
    """Sections have the titles that numpydoc knows."""
    docs = [inspect.getdoc(obj) for obj in OBJECTS.values()]
    docs += [inspect.getdoc(method) for method, _ in METHODS.values()]
    titles = {title for doc in docs for title in sections_of(doc)}
    assert titles - {""} <= TITLES


def test_parameters():
    """
    Functions, methods and classes describe all of their parameters, and no others.

    Methods that override another one (``__init__``, too) have its parameters.
    """
    wrong = [
        wrong_parameters(name, function, inspect.getdoc(function))
        for name, function in FUNCTIONS.items()
        if name not in BY_KEYWORD
    ]
    wrong += [
        wrong_parameters(name, method, inspect.getdoc(method))
        for name, (method, overrides) in METHODS.items()
        if not overrides
    ]
    wrong += [
        wrong_parameters(name, cls.__init__, cls.__doc__)
        for name, cls in CLASSES.items()
        if cls.__doc__ and has_parameters_of_its_own(cls)
    ]
    assert list(filter(None, wrong)) == []


@pytest.mark.parametrize(
    "doc, wrong",
    [
        ("Add.\n\nMore.\n\nParameters\n----------\nx, y : int\n    Numbers.", None),
        ("Add x and y.", None),
        ("Add.\n\nMore.", "add: {'x', 'y'}"),
        ("Add.\n\nParameters\n----------\nx : int\n    One.", "add: {'y'}"),
    ],
)
def test_wrong_parameters_are_found(doc, wrong):
    found = wrong_parameters("add", lambda x, y: x + y, doc)
    assert (found and sorted(found)) == (wrong and sorted(wrong))


def test_code_is_python():
    """Examples in docstrings can be compiled."""
    docs = [obj.__doc__ for obj in OBJECTS.values()]
    docs += [method.__doc__ for method, _ in METHODS.values()]
    blocks = [
        block
        for doc in filter(None, docs)
        for block in re.findall(
            r"code-block:: python\n\n((?:   .*\n|\n)+)", inspect.cleandoc(doc)
        )
    ]
    assert len(blocks) > 2
    for block in blocks:
        compile(textwrap.dedent(block), "docstring", "exec")


def test_reference_is_complete():
    """All public names are on pages of the reference, or all of a module is."""
    text = "\n".join(path.read_text() for path in REFERENCE.glob("*.rst"))
    modules = set(re.findall(r"automodule:: (\S+)\n   :members:\n", text))
    missing = [
        name
        for name, obj in OBJECTS.items()
        if not {f"nengo_dl.{name.rpartition('.')[0]}", obj.__module__} & modules
        and not re.search(rf"\b{name.rpartition('.')[2]}\b", text)
    ]
    assert missing == []
