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
TESTS = Path(__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

pytestmark = pytest.mark.once

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
    "layers",
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
    "efficiency",
    "converter",
    "benchmarks",
    "__main__",
]
LAYERS = BASICS + GRAPH_LAYER + TENSOR_LAYER + USER_LAYER

# Modules inside of packages that everybody can import, but that are private.
PRIVATE_MODULES = {"python", "src"}


def module_of(path):
    """Returns the name of the module or package right below `nengo_dl`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path, for_types=True):
    """
    Lists the dotted names of everything that a file imports, in functions too.

    Without `for_types`, what it imports for type checkers alone is left out.
    """
    tree = ast.parse(path.read_text())
    unused = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for child in ast.walk(statement)
    }
    names = []
    for node in ast.walk(tree):
        if node in unused and not for_types:
            continue
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def dotted_name(path):
    """Returns the name under which a file of the package is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph):
    """Lists what a depth-first walk through a graph meets again: circles of names."""
    found, done = [], set()

    def visit(name, trail):
        if name in trail:
            found.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


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
    # (annotations may name what stands below, such as the signals that builders get)
    for name in imports(path, for_types=False):
        package, *rest = name.split(".")
        if package == "nengo_dl":
            # the benchmarks use the package the way that users do
            assert rest or module == "benchmarks"
            assert not rest or rest[0] in allowed, f"imports `{name}`"


def test_no_circles():
    """Files do not import each other, not even in functions, or for annotations."""
    graph = {dotted_name(path): set() for path in FILES}
    for path in FILES:
        for name in imports(path):
            while name not in graph and "." in name:
                name = name.rpartition(".")[0]
            if name in graph:
                graph[dotted_name(path)].add(name)
    # the benchmarks use the package the way that users do
    del graph["nengo_dl"]
    for names in graph.values():
        names.discard("nengo_dl")
    assert circles(graph) == []


def test_circles_are_found():
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"a"}}) == [["a", "b", "a"]]
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b", "d"}}
    assert circles(graph) == [["b", "c", "d", "b"], ["d", "d"]]


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
    packages = {name.split(".")[0] for name in imports(path, for_types=False)}
    assert not packages & {"tensorflow", "keras"}


def test_graph_layer_does_not_load_tensorflow():
    modules = "nengo_dl.graph_optimizer, nengo_dl.graph.program"
    code = f"import sys, {modules}; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the tests -------------------------------------------------------------------------

#: Modules without a test file of their name, and the file that tests them.
TESTED_IN = {
    "__init__": "test_version",
    "__main__": "test_bug_report",
    "builder/work": "graph/test_section_choice",
    "benchmarks/conversion_runs": "benchmarks/test_conversion",
    "benchmarks/image_models": "benchmarks/test_conversion",
    "benchmarks/training": "benchmarks/test_models",
    "benchmarks/worker": "benchmarks/test_command_line",
    "converter/calibration/procedure": "converter/calibration/test_calibrate",
    "converter/conversion": "converter/test_converter",
    "converter/fusion": "converter/layers/test_normalization",
    "converter/layer_converter": "converter/test_converter",
    "converter/layers/core": "converter/test_activations",
    "converter/layers/models": "converter/test_converter",
    "converter/layers/weighted": "converter/layers/test_dense",
    "converter/planning": "converter/test_converter",
    "converter/registry": "converter/test_converter",
    "converter/scaling": "converter/test_converter",
    "converter/report/making": "converter/calibration/test_calibrate",
    "converter/report/record": "converter/calibration/test_calibrate",
    "converter/report/rows": "converter/calibration/test_calibrate",
    "converter/report/trials": "converter/calibration/test_calibrate",
    "converter/reasons": "converter/test_all_layers",
    "converter/trials": "converter/layers/test_fallback",
    "converter/vector_call": "converter/layers/test_fallback",
    "execution/loop": "execution/test_engine",
    "execution/places": "execution/test_step",
    "training/datasets": "training/test_streams",
    "training/loss_values": "training/test_objectives",
    "graph/schedule": "graph/test_planners",
    "graph/transitive": "graph/test_planners",
    "neuron_builders/loihi": "test_loihi",
    "neurons/piecewise": "neurons/test_activations",
    "neuron_builders/dispatch": "neuron_builders/test_neuron_builders",
    "op_builders/base": "op_builders/test_basic",
    "parameters/export": "parameters/test_saving",
    "parameters/unnamed_order": "parameters/test_unnamed",
    "parameters/unnamed_pieces": "parameters/test_unnamed",
    "tensor_node/builder": "tensor_node/test_compilation",
    "tensor_node/operator": "tensor_node/test_compilation",
    "process_builders/base": "process_builders/test_rules_from_outside",
    "process_builders/dispatch": "process_builders/test_process_builders",
    "signals/base_arrays": "signals/test_signal_dict",
    "simulation/arrays": "simulation/test_inputs",
    "training/advice": "training/test_warnings",
    "training/batches": "training/test_streams",
    "training/batching": "training/test_shuffling",
    "training/compiling": "training/test_losses_and_metrics",
    "training/functions": "training/test_reuse",
    "training/methods": "training/test_fit",
    "training/metrics": "training/test_objectives",
    "training/targets": "training/test_failures",
    "training/trainer": "training/test_fit",
}

#: Test files about what several modules do together.
SUBJECTS = {
    "converter": {"all_layers", "applications"},
    "converter/layers": {"shapes"},
    "graph": {"determinism"},
    "neuron_builders": {"custom_neurons", "surrogate_gradient"},
    "parameters": {"nengo_params"},
    "process_builders": {"rules_from_outside"},
    "simulation": {"changes_from_outside", "memory", "nengo_gui", "threads"},
    "tensor_node": {
        "compilation",
        "keras_layers",
        "keras_models",
        "training_of_layers",
        "types_and_shapes",
        "weights_of_layers",
    },
    "training": {
        "node_outputs",
        "check_gradients",
        "devices",
        "evaluate_and_predict",
        "failures",
        "fit",
        "losses_and_metrics",
        "state",
        "uneven_data",
        "through_time",
        "training_synapses",
        "training_versions",
        "warnings",
    },
}

FOLDERS = sorted(
    path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("*/__init__.py")
)


def has_code(path):
    """Returns whether a file does more than hand on names, or start a program."""
    definitions = (ast.FunctionDef, ast.ClassDef)
    return any(
        isinstance(node, definitions) for node in ast.parse(path.read_text()).body
    )


def own_test_file(path):
    """Returns where the tests of a module are, if it is not listed in `TESTED_IN`."""
    path = path.relative_to(PACKAGE)
    name = path.parent.name if path.stem == "__init__" else path.stem
    return TESTS / path.parent / f"test_{name}.py"


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_folders_of_tests(folder):
    """A file in a folder is about a module of the package, or listed as a subject."""
    assert (TESTS / folder).is_dir()
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} | {folder.name}
    subjects = SUBJECTS.get(str(folder), set())
    assert not modules & subjects
    files = {path.stem[len("test_") :] for path in (TESTS / folder).glob("test_*.py")}
    assert files - modules == subjects


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_has_tests(path):
    module = str(path.relative_to(PACKAGE).with_suffix(""))
    if module in TESTED_IN:
        assert not own_test_file(path).exists()
        assert (TESTS / f"{TESTED_IN[module]}.py").exists()
    elif has_code(path):
        assert own_test_file(path).exists()


def test_listed_modules_exist():
    assert all((PACKAGE / f"{module}.py").exists() for module in TESTED_IN)
    assert {Path(folder) for folder in SUBJECTS} <= set(FOLDERS)
