from __future__ import annotations

import nengo
import pytest


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        yield net
