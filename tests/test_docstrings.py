"""Every public object has a docstring in the form of numpydoc, with all parameters."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from unittest import mock

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from code_blocks import blocks_of
from test_public_names import MODULES

import nengo_dl
from nengo_dl.graph.increments import INCREMENTS

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

# Methods without a body.
RAISED_BY_BASES = {"NotImplementedError"}


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
        # what is defined in a module without `__all__` is public as well
        own = namespace.__name__ if names else "nengo_dl"
        names += [
            name
            for name, obj in vars(namespace).items()
            if not name.startswith("_")
            and not hasattr(namespace, "__all__")
            and str(getattr(obj, "__module__", "")).startswith(own)
        ]
        for name in names:
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


def raised(function):
    """Return the names of the errors that a function raises itself."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    nodes, inner = list(ast.walk(definition)), set()
    for node in nodes[1:]:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            inner.update(ast.walk(node))
    calls = [n.exc.func for n in nodes if is_raise(n) and n not in inner]
    return {ast.unparse(call).rpartition(".")[2] for call in calls}


def is_written(function):
    """Return whether a function stands in a file, unlike those of data classes."""
    return inspect.isfunction(function) and not function.__code__.co_filename[0] == "<"


def is_raise(node):
    return isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)


def test_errors():
    """
    Sections of errors have what functions, methods and ``__init__`` raise themselves.

    And what Nengo's parameters raise, if a class has any.
    """
    functions = [(name, f, inspect.getdoc(f)) for name, f in FUNCTIONS.items()]
    functions += [(n, f, inspect.getdoc(f)) for n, (f, o) in METHODS.items() if not o]
    functions += [
        (name, vars(cls)[constructor], cls.__doc__)
        for name, cls in CLASSES.items()
        for constructor in ("__init__", "__post_init__")
        if cls.__doc__ and is_written(vars(cls).get(constructor))
    ]
    missing = [
        f"{name}: {error}"
        for name, function, doc in functions
        for error in raised(inspect.unwrap(function)) - RAISED_BY_BASES
        if error[0].isupper() and error not in sections_of(doc).get("Raises", "")
    ]
    missing += [
        f"{name}: ValidationError"
        for name, cls in CLASSES.items()
        if any(isinstance(v, nengo.params.Parameter) for v in vars(cls).values())
        if "ValidationError" not in sections_of(cls.__doc__).get("Raises", "")
    ]
    assert missing == []


def test_raised_errors_are_found():
    def function():
        def inner():
            raise KeyError("not of the function")

        if inner:
            raise nengo.exceptions.BuildError("of the function")
        raise inner

    assert raised(function) == {"BuildError"}


# -- code -----------------------------------------------------------------------------

NODES = "first, second, x = [nengo.Node(size_in=10) for _ in range(3)]"
MODEL = """
inp = keras.Input((3,))
model = keras.Model(inp, keras.layers.ReLU()(inp))
x = np.ones((1, 1, 3))
"""
ENSEMBLE = """
node = nengo.Node([0.0])
nengo.Connection(node, nengo.Ensemble(5, 1, seed=0))
sim = nengo_dl.Simulator(net, progress_bar=False)
images = np.ones((1, 5, 1))
"""
FUNCTION = """
x = tf.ones(2)
def func(x):
    raise IndexError
"""
OPERATOR = """
class DotInc(nengo.builder.Operator):
    pass
"""

# What stands before the code of a docstring, and what is true after it.
AROUND_CODE = {
    "converter.Converter": (MODEL, "sim.closed"),
    "efficiency.measure": (ENSEMBLE, "len(report.ensembles) == 1"),
    "graph_optimizer.SettingOperator": (OPERATOR, "DotInc in INCREMENTS"),
    "tensor_node.Layer": (NODES, "x is node and x.size_out == 10"),
    "tensor_node.TensorNode": (NODES, "node.size_out == 10"),
    "utils.ErrorBox": (FUNCTION, IndexError),
}


def python_in(doc):
    """Return the code of the blocks of Python in a docstring."""
    blocks = blocks_of(inspect.cleandoc(doc or ""))
    return [block.code for block in blocks if block.is_python]


def test_all_code_is_run():
    docs = {name: obj.__doc__ for name, obj in OBJECTS.items()}
    docs.update({name: method.__doc__ for name, (method, _) in METHODS.items()})
    assert {name for name, doc in docs.items() if python_in(doc)} == set(AROUND_CODE)


@pytest.mark.parametrize("name", AROUND_CODE)
def test_code(name):
    before, after = AROUND_CODE[name]
    module = inspect.getmodule(OBJECTS[name])
    names = {"keras": keras, "nengo": nengo, "nengo_dl": nengo_dl, "tf": tf, "np": np}
    with mock.patch.dict(INCREMENTS), nengo.Network() as net:
        namespace = {**vars(module), **names, "net": net, "INCREMENTS": INCREMENTS}
        exec(before, namespace)
        code = "\n".join(python_in(OBJECTS[name].__doc__))
        if not isinstance(after, str):
            with pytest.raises(after):
                exec(code, namespace)
            return
        exec(code, namespace)
        assert eval(after, namespace)
        if "sim" in namespace:
            namespace["sim"].close()


# -- the reference --------------------------------------------------------------------


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
