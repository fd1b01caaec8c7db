"""
How arrays are handed to compiled functions, and to TensorFlow by Python functions.

In: arrays of several shapes and types. Out: few vectors, and back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.graph.program import Program

# Arrays of at least this size (in bytes) are not joined, as copies would cost more.
LARGE_BYTES = 2**18


class Packing:
    """
    How arrays are joined into one vector per type of elements.

    Every tensor that goes into a compiled function and comes out of it costs some
    20 microseconds per call, which is what a single step of a small network takes; and
    every array that Python returns to TensorFlow 7 microseconds. Large arrays, such as
    weights that are learned, are vectors of their own.

    Parameters
    ----------
    shapes : dict of {str or int: tuple of int}
        Shapes of the arrays by key.
    dtypes : dict of {str or int: str}
        Their types.

    Attributes
    ----------
    keys : list of (str or int)
        The keys.
    sizes : list of int
        Lengths of the vectors.
    dtypes : list of str
        Their types; several vectors may have the same one.
    """

    def __init__(
        self, shapes: Mapping[Any, tuple[int, ...]], dtypes: Mapping[Any, str]
    ):
        self.keys = list(shapes)
        self._shapes = shapes
        sizes = {key: math.prod(shape) for key, shape in shapes.items()}
        large = {
            key
            for key, dtype in dtypes.items()
            if sizes[key] * tf.as_dtype(dtype).size >= LARGE_BYTES
        }
        # a vector is known by its type and, if it is one large array, by its key
        names = {
            key: (dtype, key if key in large else None) for key, dtype in dtypes.items()
        }
        vectors = list(dict.fromkeys(names.values()))
        self.dtypes = [dtype for dtype, _ in vectors]
        self.sizes = [0] * len(vectors)
        self._places = {}
        for key, size in sizes.items():
            vector = vectors.index(names[key])
            self._places[key] = (vector, self.sizes[vector], size)
            self.sizes[vector] += size
        self._vectors = list(zip(self.sizes, map(np.dtype, self.dtypes)))

    @classmethod
    def of(cls, program: Program) -> Packing:
        """Return how the carried arrays of a program are joined."""
        arrays, batch = program.layout.arrays, program.settings.minibatch_size
        return cls(
            {key: arrays[key].full_shape(batch) for key in program.carried},
            {key: arrays[key].dtype for key in program.carried},
        )

    def pack(self, arrays: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Join the arrays, given in the order of their keys."""
        parts: list[list[tf.Tensor]] = [[] for _ in self.dtypes]
        for (vector, _, _), array in zip(self._places.values(), arrays):
            parts[vector].append(tf.reshape(array, (-1,)))
        return [p[0] if len(p) == 1 else tf.concat(p, axis=0) for p in parts]

    def take(self, vectors: Sequence[tf.Tensor], key: Any) -> tf.Tensor:
        """Return one of the arrays that were joined."""
        vector, start, size = self._places[key]
        part = vectors[vector]
        if size < self.sizes[vector]:
            part = part[start : start + size]
        return tf.reshape(part, self._shapes[key])

    def unpack(self, vectors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Take the vectors apart."""
        return [self.take(vectors, key) for key in self.keys]

    def start(self, key: Any) -> tuple[int, int]:
        """Return the number of the vector that an array is in, and where it starts."""
        return self._places[key][:2]

    def zeros(self) -> list[np.ndarray]:
        """Return vectors of zeros."""
        return [np.zeros(n, dtype) for n, dtype in self._vectors]

    def put(self, vectors: Sequence[np.ndarray], key: Any, value: np.ndarray) -> None:
        """Write one of the arrays that were joined."""
        vector, start, size = self._places[key]
        vectors[vector][start : start + size] = value.ravel()
