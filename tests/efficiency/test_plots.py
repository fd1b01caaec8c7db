import sys

import matplotlib.pyplot as plt
import pytest

from nengo_dl.efficiency.plots import bars, histogram, new_axes


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_bars(ax):
    assert bars({"a": 1.0, "b": 3.0}, "Hz", ax) is ax
    assert [bar.get_width() for bar in ax.patches] == [1, 3]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_xlabel() == "Hz" and ax.yaxis_inverted()


def test_histogram(ax):
    histogram({"a": [0, 0, 30.0, 30.0], "b": [15.0]}, "Hz", ax)
    heights = [patch.get_xy()[:, 1].max() for patch in ax.patches]
    assert sorted(heights) == pytest.approx([0.5, 1])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b"}


def test_histogram_of_nothing(ax):
    histogram({}, "Hz", ax)
    histogram({"silent": [0.0, 0.0]}, "Hz", ax)
    assert ax.patches


def test_axes(ax):
    assert new_axes(ax) is ax
    own = new_axes()
    assert own is not ax
    plt.close(own.figure)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="Plots need matplotlib"):
        new_axes()
