"""The code in the documentation runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import nengo_dl.tensor_graph  # noqa: F401  (imports all builders)
from nengo_dl.builder import Builder
from nengo_dl.neuron_builders import SimNeuronsBuilder

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    impl = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    monkeypatch.setattr(SimNeuronsBuilder, "TF_NEURON_IMPL", impl)


@pytest.mark.parametrize("page", sorted(p.name for p in DOCS.glob("*.rst")))
def test_code_of_page(page):
    text = (DOCS / page).read_text()
    blocks = re.findall(r"\.\. testcode::\n\n((?:   .*\n|\n)+)", text)
    namespace = {"__name__": page}
    for block in blocks:
        exec(compile(textwrap.dedent(block), page, "exec"), namespace)
