"""
Give a converted network the weights that its Keras model has got since.

In: the objects of the network, and those of a new conversion. Out: the former, with the
values of the latter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import nengo
from nengo.exceptions import ValidationError

from nengo_dl.tensor_node import TensorNode


def fingerprint(weights: Iterable[keras.Variable]) -> bytes:
    """
    Return a value that is another one if any of the weights changes.

    Parameters
    ----------
    weights : list of keras.Variable
        The weights.
    """
    digest = hashlib.blake2b(digest_size=16)
    for weight in weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.digest()


def update_objects(
    objects: Sequence[Any], others: Sequence[Any], calibrated: bool = False
) -> None:
    """
    Copy gains, biases, transforms, and weights of layers.

    Parameters
    ----------
    objects : list of nengo.base.NengoObject
        Where to.
    others : list of nengo.base.NengoObject
        The same objects of another conversion.
    calibrated : bool
        Whether calibration has changed the objects, so that neuron types are copied
        too, and transforms may be of other types.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a transform is of another type or shape. Nothing has changed then.
    """
    pairs = list(zip(objects, others))
    for obj, other in pairs:
        if isinstance(obj, nengo.Connection) and not calibrated:
            _check_transform(obj, other)
    for obj, other in pairs:
        if isinstance(obj, nengo.Connection):
            obj.transform = other.transform
        elif isinstance(obj, nengo.Ensemble):
            obj.gain, obj.bias = other.gain, other.bias
            if calibrated:
                obj.neuron_type = other.neuron_type
        elif isinstance(obj, TensorNode) and isinstance(
            obj.tensor_func, keras.layers.Layer
        ):
            obj.tensor_func.set_weights(other.tensor_func.get_weights())


def _check_transform(conn: nengo.Connection, other: nengo.Connection) -> None:
    ours, theirs = conn.transform, other.transform
    if type(ours) is not type(theirs) or (
        (ours.size_in, ours.size_out) != (theirs.size_in, theirs.size_out)
    ):
        raise ValidationError(
            f"The weights of the Keras model have changed, and cannot be brought into "
            f"the network, as the transform of {conn} was replaced by {ours}, which is "
            f"of another type or shape than {theirs}. Convert the model again, and "
            "change the new network",
            attr="transform",
            obj=conn,
        )
