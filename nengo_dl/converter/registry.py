"""
Which converter is for which class of layers.

In: a class of Keras layers or operations. Out: the `.LayerConverter` that is registered
for just this class.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from nengo_dl.converter.layer_converter import LayerConverter

# Converters by class; that of layers that have no other under None.
CONVERTERS: dict[type | None, type[LayerConverter]] = {}


def register(
    keras_layer: type | None,
) -> Callable[[type[LayerConverter]], type[LayerConverter]]:
    """
    Register the decorated `.LayerConverter` for a class of layers.

    Parameters
    ----------
    keras_layer : type or None
        A class of Keras layers or operations, not including its subclasses; None for
        all that have no converter.

    Warns
    -----
    UserWarning
        If there is a converter for that class already, which is replaced.
    """

    def decorator(converter_class: type[LayerConverter]) -> type[LayerConverter]:
        if keras_layer in CONVERTERS:
            name = getattr(keras_layer, "__name__", keras_layer)
            warnings.warn(f"Layer '{name}' already has a converter; it is replaced")
        CONVERTERS[keras_layer] = converter_class
        return converter_class

    return decorator
