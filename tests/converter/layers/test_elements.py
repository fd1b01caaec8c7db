"""Tests of positions of elements."""

import numpy as np

from nengo_dl.converter.layers.elements import as_slice, positions, spatial_axes


def test_positions():
    assert positions((2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_slices():
    assert as_slice(positions((2, 3))[1:]) == slice(3, 6)
    assert as_slice(positions((2, 3))[:, :2]).tolist() == [0, 1, 3, 4]
    assert as_slice(np.zeros(0, int)).tolist() == []


def test_spatial_axes():
    assert list(range(4))[spatial_axes(4, True)] == [0, 1, 2]
    assert list(range(4))[spatial_axes(4, False)] == [1, 2, 3]
