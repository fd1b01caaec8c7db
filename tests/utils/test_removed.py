import pytest

import nengo_dl
from nengo_dl.utils.removed import REMOVED_NAMES, RemovedAttribute


@pytest.mark.parametrize("name", REMOVED_NAMES)
def test_names_of_the_package(name):
    with pytest.raises(AttributeError, match=f"`nengo_dl.{name}` was removed in ver"):
        getattr(nengo_dl, name)
    assert not hasattr(nengo_dl, name)
    assert name not in dir(nengo_dl)


def test_attributes_of_a_class():
    class Thing:
        old = RemovedAttribute("4; use `new`")

    for thing in (Thing, Thing()):
        with pytest.raises(AttributeError, match=r"`Thing.old` was removed.*4; use `n"):
            thing.old  # noqa: B018
        assert not hasattr(thing, "old")


@pytest.mark.parametrize("name", ["run_batch", "sess", "training_step"])
def test_attributes_of_simulators(name):
    with pytest.raises(AttributeError, match=f"`Simulator.{name}` was removed"):
        getattr(nengo_dl.Simulator, name)
