import threading
import warnings

import pytest

from nengo_dl.utils import GlobalSetting, without_warnings


@pytest.fixture
def values():
    return ["before"]


@pytest.fixture
def setting(values):
    return GlobalSetting(lambda: values[-1], values.append)


def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(timeout=0.2)
    return thread


def test_contexts_within_each_other(setting, values):
    with setting.shown("a"):
        with pytest.raises(RuntimeError, match="inside"), setting.fixed("b"):
            assert values[-1] == "b"
            assert setting.outside() == "before"
            raise RuntimeError("inside")
        assert values[-1] == "a"
    assert values[-1] == setting.outside() == "before"


@pytest.mark.parametrize("first, second", [(0, 1), (1, 0)])
def test_contexts_may_be_left_in_any_order(setting, values, first, second):
    contexts = [setting.shown("a"), setting.shown("b")]
    for context in contexts:
        context.__enter__()
    contexts[first].__exit__(None, None, None)
    assert values[-1] == "ba"[first]
    contexts[second].__exit__(None, None, None)
    assert values[-1] == "before"
    values.append("changed outside")
    with setting.shown("a"):
        pass
    assert values[-1] == "changed outside"


def test_changes_from_outside_stay(setting, values):
    """What the user sets in the meantime is valid after the contexts."""
    with setting.shown("a"):
        with setting.shown("b"):
            values.append("of the user")
        assert values[-1] == "a"
        assert setting.outside() == "of the user"
    assert values[-1] == "of the user"
    with setting.shown("a"):
        values.append("later")
        with setting.fixed("b"):
            assert values[-1] == "b"
    assert values[-1] == setting.outside() == "later"


def test_warnings_are_those_of_all_threads():
    """Filters are put back in order, by whichever thread."""
    before = list(warnings.filters)

    def ignore():
        with without_warnings():
            warnings.warn("is ignored")

    with without_warnings():
        thread = in_thread(ignore)
        assert thread.is_alive()
        warnings.warn("is ignored, too")
    thread.join(timeout=10)
    assert warnings.filters == before


def test_shown_values_block_nobody(setting, values):
    def show():
        with setting.shown("b"):
            assert values[-1] == "b"

    with setting.shown("a"):
        assert not in_thread(show).is_alive()
        assert values[-1] == "a"


def test_fixed_values_stay(setting, values):
    def show():
        with setting.shown("b"):
            pass

    with setting.fixed("a"):
        thread = in_thread(show)
        assert thread.is_alive()
        with setting.fixed("c"):
            assert values[-1] == "c"
        assert values[-1] == "a"
    thread.join(timeout=10)
    assert "b" in values and values[-1] == "before"
