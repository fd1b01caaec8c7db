"""
Configuration of Sphinx, which builds the site: ``make docs``.

Nothing here needs the network, and the site needs neither the network nor JavaScript.
"""

import os
import sys
from pathlib import Path

# Notebooks run one after the other, on a machine that may be shared.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import nengo_dl

project = "NengoDL"
copyright = nengo_dl.__copyright__.removeprefix("Copyright (c) ")
author = "NengoDL contributors"
version = release = nengo_dl.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",  # knows `testcode`, which the tests run
    "sphinx_design",
    "file_links",
    "mathml",
]
exclude_patterns = ["_build", "_ext", "**/.ipynb_checkpoints"]

# -- what counts as wrong -------------------------------------------------------------

nitpicky = True
# what other packages document
nitpick_ignore_regex = [
    (r"py:.*", r"(nengo|nengo_loihi|numpy|keras|tf|warnings)(\..*)?"),
    # private modules
    (
        r"py:.*",
        r"nengo_dl\.(converter\.calibration|execution|graph|simulation|training)\b.*",
    ),
]

# -- docstrings -----------------------------------------------------------------------

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # `np.random`, not where it is on this machine
autodoc_typehints = "none"  # docstrings have the types, with shapes
numpydoc_show_class_members = False

# -- notebooks ------------------------------------------------------------------------

# `make docs NOTEBOOKS=off` shows them as they are stored
nb_execution_mode = os.environ.get("NOTEBOOKS", "force")
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # the log of TensorFlow, with numbers of processes
myst_enable_extensions = ["dollarmath"]

# -- HTML -----------------------------------------------------------------------------

html_theme = "furo"
html_title = f"NengoDL {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
