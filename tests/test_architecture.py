"""
The structure of the code.

Architecture documents rot; this one fails when it is no longer true.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nengo_dl

PACKAGE = Path(nengo_dl.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A module or folder imports only from itself and from what stands before it (`__init__`
# may import all).
BASICS = [
    "version",
    "config",
    "utils",
    "neurons",
    "loihi",
    "dists",
    "losses",
]
GRAPH_LAYER = ["builder", "graph", "graph_optimizer"]
TENSOR_LAYER = [
    "signals",
    "op_builders",
    "neuron_builders",
    "learning_rule_builders",
    "process_builders",
    "transform_builders",
    "tensor_node",
    "execution",
    "tensor_graph",
]
USER_LAYER = [
    "simulation",
    "training",
    "parameters",
    "callbacks",
    "simulator",
    "converter",
    "benchmarks",
]
LAYERS = BASICS + GRAPH_LAYER + TENSOR_LAYER + USER_LAYER

# Modules inside of packages that everybody can import, but that are private.
PRIVATE_MODULES = {"python", "src"}


def module_of(path):
    """Returns the name of the module or package right below `nengo_dl`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Lists the dotted names of everything that a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def private_names(path, packages=("tensorflow", "keras", "progressbar")):
    """Lists private names of other packages that a file uses."""
    tree = ast.parse(path.read_text())
    aliases = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] in packages
    }
    used = [name for name in imports(path) if name.split(".")[0] in packages]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if dotted.split(".")[0] in aliases:
                used.append(dotted)
    return [
        name
        for name in used
        if any(
            part in PRIVATE_MODULES
            or (part.startswith("_") and part not in ("__name__", "__version__"))
            for part in name.split(".")[1:]
        )
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_above(path):
    module = module_of(path)
    if module == "__init__":
        return
    assert module in LAYERS, f"`{module}` has no place in the layers in this test"

    allowed = LAYERS[: LAYERS.index(module) + 1]
    for name in imports(path):
        package, *rest = name.split(".")
        if package == "nengo_dl":
            # the benchmarks use the package the way that users do
            assert rest or module == "benchmarks"
            assert not rest or rest[0] in allowed, f"imports `{name}`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_names(path):
    assert private_names(path) == []


def test_private_names_are_found(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(
        "import keras\n"
        "import tensorflow as tf\n"
        "from keras.src import ops\n"
        "from tensorflow.python.ops import script_ops\n"
        "tf.__internal__.x, tf.nn.relu, keras.layers.Layer._build(3), ops._x\n"
    )
    assert sorted(private_names(path)) == [
        "keras.layers.Layer._build",
        "keras.src.ops",
        "tensorflow.python.ops.script_ops",
        "tf.__internal__",
        "tf.__internal__.x",
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if module_of(path) in GRAPH_LAYER],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_graph_layer_has_no_tensors(path):
    packages = {name.split(".")[0] for name in imports(path)}
    assert not packages & {"tensorflow", "keras"}


def test_graph_layer_does_not_load_tensorflow():
    modules = "nengo_dl.graph_optimizer, nengo_dl.graph.program"
    code = f"import sys, {modules}; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
