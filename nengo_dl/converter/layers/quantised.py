"""The converter of activations that are quantised already."""

from __future__ import annotations

from typing import Any

import keras
import nengo

from nengo_dl.converter.conversion import DT, Conversion
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register
from nengo_dl.layers import QCFS
from nengo_dl.neurons import IntegrateAndFire


@register(QCFS)
class ConvertQCFS(LayerConverter):
    """
    QCFS: neurons with the threshold of the layer, and one spike in a step at most.

    Over as many steps as the layer has levels, their mean output is that of the layer.
    """

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Accept it in inference, as neurons do not train their threshold."""
        if converter.inference_only:
            return True, None
        return False, "its threshold is trained (unless inference_only=True)"

    def convert(self, node_id: int) -> Any:
        """Make the neurons."""
        theta = float(self.layer.theta.numpy())
        neurons = nengo.Ensemble(
            self.output_size(node_id),
            1,
            neuron_type=IntegrateAndFire(max_spikes=1, amplitude=theta * DT),
            gain=nengo.dists.Choice([1 / (theta * DT)]),
            bias=nengo.dists.Choice([0]),
            label=self.name(node_id),
        ).neurons
        self.set_trainable(neurons, False)
        self.add_connection(node_id, neurons)
        return neurons
