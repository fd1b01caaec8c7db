"""
Converters of layers that are affine: batch normalization, rescaling.

In: layers that multiply every element with a constant, and add another one. Out: a Node
with connections that are not trained.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.fusion import factors_and_shifts
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register


class ConvertAffine(LayerConverter):
    """Base of converters of layers that compute ``factors * x + shifts``."""

    def convert(self, node_id: int) -> Any:
        """Make the Node."""
        factors, shifts = self.factors_and_shifts(node_id)
        node = self.add_node(node_id)
        self.add_connection(node_id, node, transform=self._flat(node_id, factors))
        # weights that are zero may be others later
        if np.any(shifts) or self.layer.weights:
            biases = self._flat(node_id, shifts)
            self.add_biases(node_id, node, biases, trainable=False)
        return node

    def factors_and_shifts(self, node_id: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what is multiplied and added.

        Parameters
        ----------
        node_id : int
            Which call of the layer.

        Returns
        -------
        factors, shifts : array
            Of shapes that can be broadcast to that of the input, with axes for the
            batch and maybe for time.
        """
        raise NotImplementedError

    def _flat(self, node_id: int, values: np.ndarray) -> np.ndarray:
        """Return one value for each element."""
        shape = self.input_shape(node_id)
        n_dropped = 2 if self.converter.temporal_model else 1
        return np.broadcast_to(values, (1,) * n_dropped + shape).ravel()


@register(keras.layers.BatchNormalization)
class ConvertBatchNormalization(ConvertAffine):
    """Batch normalization in inference, by the moving statistics."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse layers that are trained, and whatever uses statistics of the batch."""
        bn: Any = layer
        if bn.trainable and not converter.inference_only:
            return False, (
                "it normalizes by the statistics of the batch in training, and by "
                "fixed numbers only in inference (unless inference_only=True or "
                "layer.trainable=False)"
            )
        for call in converter.calls_of(layer):
            if len(call.inputs) != 1:
                return False, "it is called with a mask"
            axis = bn.axis % len(call.inputs[0].shape)
            if axis < (2 if converter.temporal_model else 1):
                return False, f"its axis ({bn.axis}) is that of the batch or of time"
        return super().convertible(layer, converter)

    def convert(self, node_id: int) -> Any:
        """Make the Node, unless the layer before does the same."""
        if any(call is self.call(node_id) for call in self.converter.fusions.values()):
            return self.get_input_obj(node_id)
        return super().convert(node_id)

    def factors_and_shifts(self, node_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return those of all channels."""
        rank = len(self.call(node_id).inputs[0].shape)
        shape = [1] * rank
        shape[self.layer.axis % rank] = -1
        factors, shifts = factors_and_shifts(self.layer)
        return factors.reshape(shape), shifts.reshape(shape)


@register(keras.layers.Rescaling)
class ConvertRescaling(ConvertAffine):
    """Rescaling."""

    def factors_and_shifts(self, node_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the arguments of the layer."""
        scale, offset = (
            np.asarray(value, dtype=float)
            for value in (self.layer.scale, self.layer.offset)
        )
        if scale.ndim and keras.config.image_data_format() == "channels_first":
            # as Keras does it
            scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
        return scale, offset


@register(keras.layers.Normalization)
class ConvertNormalization(ConvertAffine):
    """Normalization by statistics that the layer was adapted to, or its inverse."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse statistics for every step in time."""
        possible, reason = super().convertible(layer, converter)
        mean = np.asarray(layer.mean)
        if converter.temporal_model and mean.ndim > 1 and mean.shape[1] > 1:
            return False, "it normalizes every step in time by other numbers"
        return possible, reason

    def factors_and_shifts(self, node_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return those of the mean and variance."""
        mean = keras.ops.convert_to_numpy(self.layer.mean).astype(float)
        variance = keras.ops.convert_to_numpy(self.layer.variance).astype(float)
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        if self.layer.invert:
            return deviation, mean
        return 1 / deviation, -mean / deviation


class ConvertIdentity(LayerConverter):
    """Layers that do nothing."""

    def convert(self, node_id: int) -> Any:
        """Return the input."""
        return self.get_input_obj(node_id)


register(keras.layers.Identity)(ConvertIdentity)


class ConvertInferenceIdentity(ConvertIdentity):
    """Layers that do something in training only."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse networks that may be trained."""
        if not all(call.is_plain for call in converter.calls_of(layer)):
            return False, "it is called with several tensors"
        # a layer that was switched off
        if converter.inference_only or getattr(layer, "rate", None) == 0:
            return True, None
        return False, (
            "it does nothing in inference, but changes values or losses in training "
            "(unless inference_only=True)"
        )


# (some are younger than the oldest Keras that is supported)
INFERENCE_IDENTITIES = (
    "ActivityRegularization",
    "AlphaDropout",
    "AugMix",
    "CutMix",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
)

for _name in INFERENCE_IDENTITIES:
    if hasattr(keras.layers, _name):
        register(getattr(keras.layers, _name))(ConvertInferenceIdentity)
