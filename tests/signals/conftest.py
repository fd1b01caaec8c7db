from __future__ import annotations

import pytest


@pytest.fixture(params=[None, 1, 3], ids=["unbatched", "batch of 1", "batch of 3"])
def minibatch_size(request):
    return request.param
