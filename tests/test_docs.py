"""The code in the documentation runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from nengo_dl.builder import Builder
from nengo_dl.neuron_builders import SimNeuronsBuilder

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
WITHOUT_CODE = ["performance.rst"]


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    impl = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    monkeypatch.setattr(SimNeuronsBuilder, "TF_NEURON_IMPL", impl)


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
