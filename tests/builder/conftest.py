import pytest

from nengo_dl.builder import Builder, NengoBuilder


@pytest.fixture
def registry(monkeypatch):
    """Let a test change the registries of builders."""
    monkeypatch.setattr(Builder, "builders", dict(Builder.builders))
    monkeypatch.setattr(NengoBuilder, "builders", dict(NengoBuilder.builders))
