"""
The converter from Keras models to Nengo networks.

In: a Keras model and options. Out: a `Converter`, with a Nengo network that computes
the same, and the Nengo objects of the inputs, outputs and layers of the model.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import nengo
import numpy as np
from nengo.neurons import NeuronType

from nengo_dl.config import configure_settings
from nengo_dl.converter.calibration import calibrate
from nengo_dl.converter.conversion import Conversion, Scope
from nengo_dl.converter.keras_graph import Call, KerasGraph, as_functional
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.mappings import KerasTensorDict
from nengo_dl.converter.planning import Decision, decide, plan
from nengo_dl.converter.registry import CONVERTERS, register
from nengo_dl.converter.report import ConversionReport, make_report
from nengo_dl.converter.updating import fingerprint, update_objects
from nengo_dl.converter.verification import checked_inputs, default_inputs, verify
from nengo_dl.utils import without_warnings


class Converter(Conversion):
    """
    A Nengo network made of a Keras model.

    .. code-block:: python

       converter = nengo_dl.Converter(model)
       with nengo_dl.Simulator(converter.net) as sim:
           sim.predict({converter.inputs[model.input]: x})

    Parameters
    ----------
    model : keras.Model
        What to convert: a functional or Sequential model, also with models in it.
    allow_fallback : bool
        Whether layers (and activations) that Nengo's own objects cannot compute are
        put into TensorNodes, with a warning; these run in NengoDL only. With False, an
        error names all of them.
    inference_only : bool
        Whether conversions are allowed that are right as long as the network is not
        trained, such as that of BatchNormalization; the network is then configured
        with ``inference_only=True``.
    max_to_avg_pool : bool
        Whether to take averages in place of maxima in pooling layers.
    split_shared_weights : bool
        Whether a layer with weights may be called several times: every call gets its
        own copy of the weights, and training lets them diverge.
    swap_activations : dict of {object: object}
        Activations or neuron types, and what to use in place of them, such as
        ``{"relu": nengo.SpikingRectifiedLinear()}``. Activations may be written as
        names, functions of `keras.activations`, `keras.ops` or `tf.nn`, or layers.
    scale_firing_rates : float or dict of {keras.layers.Layer: float}
        Factor on the gains and biases of neurons; their output is divided by it.
        Spiking neurons then emit more and smaller spikes, and rates of neurons that
        are linear above their threshold stay as they are.
    synapse : float or nengo.synapses.Synapse
        Synapse of all connections from neurons, and of the probes of outputs that are
        neurons. There is none anywhere else.
    temporal_model : bool
        Whether the first axis of the inputs of the model (after that of the batch) is
        time, which Nengo represents by its simulation steps.
    fuse_batch_normalization : bool
        Whether BatchNormalization is made a part of the weights of the layer before
        it, where that is a Dense layer or a convolution without activation. Needs
        ``inference_only``.

    Attributes
    ----------
    net : nengo.Network
        The network; its attributes ``inputs``, ``outputs`` and ``layers`` are those
        below. If the weights of the Keras model have changed, it gets them when this
        attribute is read (see `update_weights`).
    model : keras.Model
        The functional model that was converted.
    inputs : KerasTensorDict
        The Node of every input of the model.
    outputs : KerasTensorDict
        The Probe of every output of the model; its label is the name of the layer, as
        in ``model.output_names``.
    layers : KerasTensorDict
        The object that represents a layer, or a tensor of the model.
    neurons : dict of {tuple of Call: nengo.ensemble.Neurons}
        The neurons of the calls of layers that have become neurons, in the order in
        which the model computes them; by the call, after those of the nested models
        that it is in.
    connections : dict of {tuple of Call: list of nengo.Connection}
        The connections that compute a call, by the same keys.
    decisions : dict of {int: Decision}
        By ``id(layer)``, what became of a layer, and why.

    Raises
    ------
    TypeError
        If layers cannot be converted; the message names all of them.
    ValueError
        If an input has an unknown shape, or if layers with weights are called several
        times without ``split_shared_weights``.
    """

    converters: ClassVar[dict[type | None, type[LayerConverter]]] = CONVERTERS
    register = staticmethod(register)

    def __init__(
        self,
        model: keras.Model,
        allow_fallback: bool = True,
        inference_only: bool = False,
        max_to_avg_pool: bool = False,
        split_shared_weights: bool = False,
        swap_activations: Mapping | None = None,
        scale_firing_rates: float | Mapping[keras.layers.Layer, float] | None = None,
        synapse: Any = None,
        temporal_model: bool = False,
        fuse_batch_normalization: bool = False,
    ):
        super().__init__(
            allow_fallback=allow_fallback,
            inference_only=inference_only,
            max_to_avg_pool=max_to_avg_pool,
            split_shared_weights=split_shared_weights,
            swap_activations=swap_activations,
            scale_firing_rates=scale_firing_rates,
            synapse=synapse,
            temporal_model=temporal_model,
            fuse_batch_normalization=fuse_batch_normalization,
        )
        self.model = as_functional(model)
        self._check_inputs()
        self.graph = KerasGraph(self.model)
        self.neurons: dict[tuple[Call, ...], nengo.ensemble.Neurons] = {}
        self.connections: dict[tuple[Call, ...], list[nengo.Connection]] = {}
        self._layer_converters: dict[int, LayerConverter] = {}
        self.decisions: dict[int, Decision] = plan(self.graph, self, self.converters)
        with nengo.Network(label=model.name) as self._net:
            configure_settings(inference_only=inference_only, trainable=None)
            self._convert_model()
        self._objects = self._net.all_objects
        self._weights = self._fingerprint()
        self._check_swaps()

    @property
    def net(self) -> nengo.Network:
        """The network, with the weights that the Keras model has now."""
        if self._fingerprint() != self._weights:
            self.update_weights()
        return self._net

    def update_weights(self) -> None:
        """
        Give the network the weights that the Keras model has now.

        Transforms, gains and biases are set anew, and with them whatever was trained
        and frozen in the network, or calibrated. Objects that were removed from the
        network, and synapses and neuron types that were changed, stay as they are.

        This is done by itself when the attribute `net` is read, if the weights of the
        model have changed since (by ``converter.model.load_weights``, say).

        Raises
        ------
        nengo.exceptions.ValidationError
            If a transform was replaced by one of another type or shape.
        """
        twin = copy.copy(self)
        twin._layer_converters, twin.neurons, twin.connections = {}, {}, {}
        with without_warnings():  # they were seen before
            with nengo.Network(add_to_container=False) as twin._net:
                configure_settings(trainable=None)
                twin._convert_model()
        calibrated = self.calibration is not None
        update_objects(self._objects, twin._net.all_objects, calibrated)
        if calibrated:
            self.calibration = None
            warnings.warn(
                "The weights of the Keras model have changed, for which the network "
                "was not calibrated: it is as before the calibration; calibrate again"
            )
        self._weights = self._fingerprint()

    def _fingerprint(self) -> bytes:
        """Return a value that changes with the weights that have been converted."""
        kept = {id(w) for layer in self.kept_layers for w in layer.weights}
        return fingerprint([w for w in self.model.weights if id(w) not in kept])

    def _check_inputs(self) -> None:
        first = 2 if self.temporal_model else 1
        for tensor in self.model.inputs:
            if None in tensor.shape[first:]:
                raise ValueError(
                    f"Input shapes must be fully specified; input `{tensor.name}` of "
                    f"model `{self.model.name}` has shape {tensor.shape}. If the first "
                    "axis after that of the batch is time, set `temporal_model=True`"
                )

    def _check_swaps(self) -> None:
        unused = self.swap_activations.unused_keys()
        if unused:
            warnings.warn(
                f"`swap_activations` contains {', '.join(map(repr, unused))}, but "
                "there are no layers in the model with that activation"
            )

    def _convert_model(self) -> None:
        """Make the network of the whole model, with inputs and probes."""
        self.inputs = KerasTensorDict(self.model, self.graph)
        self.outputs = KerasTensorDict(self.model, self.graph)
        nodes = [
            nengo.Node(np.zeros(self._size(tensor)), label=layer.name)
            for tensor, layer in zip(self.graph.inputs, self.graph.input_layers)
        ]
        self.layers = self.convert_graph(self.graph, nodes, self.model)
        for tensor, node in zip(self.graph.inputs, nodes):
            self.inputs.add([tensor], node)
        for tensor, name in zip(self.graph.outputs, self.model.output_names):
            if tensor not in self.outputs:  # a model may have an output twice
                obj = self.layers[tensor]
                probe = nengo.Probe(obj, synapse=self.synapse_from(obj), label=name)
                self.outputs.add([tensor], probe)
        self._net.inputs, self._net.outputs = self.inputs, self.outputs
        self._net.layers = self.layers

    def _size(self, tensor: keras.KerasTensor) -> int:
        return math.prod(tensor.shape[2 if self.temporal_model else 1 :])

    def convert_graph(
        self,
        graph: KerasGraph,
        inputs: list[Any],
        model: keras.Model,
        path: tuple[Call, ...] = (),
    ) -> KerasTensorDict:
        """
        Make the objects of all calls of a model, in the network of the context.

        Parameters
        ----------
        graph : KerasGraph
            The calls.
        inputs : list of NengoObject
            The objects of the inputs.
        model : keras.Model
            The model.
        path : tuple of Call
            The calls of nested models that lead to it.

        Returns
        -------
        layers : KerasTensorDict
            The objects of its tensors and layers.
        """
        scope = Scope(graph, path)
        layers = KerasTensorDict(model, graph)
        self.scopes.append(scope)
        for tensor, obj in zip(graph.inputs, inputs):
            scope.objects[id(tensor)] = obj
            layers.add([tensor], obj)
        network = nengo.Network.context[-1]
        for call in graph.calls:
            n_before = len(network.connections)
            obj = self.get_converter(call.op).convert(call.node_id)
            self.connections[(*path, call)] = network.connections[n_before:]
            if isinstance(obj, nengo.Network):
                layers.add_network(call.outputs, obj)
                nested = graph.nested[id(call.op)]
                objects = [obj.layers[tensor] for tensor in nested.outputs]
            else:
                objects = obj if isinstance(obj, list) else [obj]
            inputs_of_call = [scope.objects[id(tensor)] for tensor in call.inputs]
            # layers that only reshape return what they got
            if isinstance(obj, nengo.ensemble.Neurons) and obj not in inputs_of_call:
                self.neurons[(*path, call)] = obj
            layers.add(call.outputs, objects if len(objects) > 1 else objects[0])
            for tensor, output in zip(call.outputs, objects):
                scope.objects[id(tensor)] = output
                layers.add([tensor], output)
        self.scopes.pop()
        return layers

    def get_converter(self, layer: keras.Operation) -> LayerConverter:
        """
        Return the converter of a layer.

        Parameters
        ----------
        layer : keras.layers.Layer
            A layer of the model, or one inside of such a layer.

        Returns
        -------
        converter : LayerConverter
            Always the same for the same layer.

        Raises
        ------
        TypeError
            If the layer cannot be converted.
        """
        if id(layer) not in self._layer_converters:
            if id(layer) not in self.decisions:
                self.decisions[id(layer)] = decide(layer, self, self.converters)
            decision = self.decisions[id(layer)]
            if decision.kind == "refused":
                raise TypeError(
                    f"Unable to convert layer '{layer.name}' to native Nengo objects: "
                    f"{decision.text}"
                )
            converter = decision.converter_class(layer, self)
            self._layer_converters[id(layer)] = converter
        return self._layer_converters[id(layer)]

    def verify(
        self,
        training: bool = False,
        inputs: Any = None,
        atol: float = 1e-8,
        rtol: float = 1e-5,
    ) -> bool:
        """
        Compare the outputs of the network with those of the Keras model.

        Parameters
        ----------
        training : bool
            Whether to compare the numbers of trainable parameters, and to train both
            (three steps of gradient descent towards ones) before the outputs are
            compared. Afterwards, the Keras model has the weights that it had.
        inputs : (batch_size, ...) array or list or dict of {keras.KerasTensor: array}
            What is presented: one array for every input of the model, of the shape
            that the model takes. By default ones, in a batch of 2, and for 10 steps
            if the model is temporal. (Others are presented for one step.)
        atol, rtol : float
            Tolerances: values may differ by ``atol + rtol * abs(expected)``.

        Returns
        -------
        verified : bool
            Always True.

        Raises
        ------
        ValueError
            If the outputs, or the numbers of trainable parameters, differ.
        """
        if inputs is None:
            arrays = default_inputs(self.model, self.temporal_model)
        else:
            arrays = checked_inputs(self.model, inputs)
        verify(self.model, self.net, arrays, training, self.temporal_model, atol, rtol)
        return True

    def calibrate(
        self,
        inputs: Any,
        targets: Any = None,
        method: str = "percentile",
        n_steps: int | None = None,
        tolerance: float = 0.01,
        neuron_type: NeuronType | None = None,
        spike_budget: float | None = None,
        percentile: float = 99.5,
        correction: str = "both",
        device: str | None = None,
    ) -> ConversionReport:
        r"""
        Choose thresholds, biases and start voltages, for few steps and few spikes.

        Rectified linear neurons become neurons that spike. A spike of channel
        :math:`c` of a layer stands for an activation :math:`\theta_c / T` in :math:`T`
        steps. The thresholds :math:`\theta_c` come from the activations of the Keras
        model on the data; the biases and start voltages of the neurons are corrected
        such that the mean output of every layer is that of the Keras model. All of it
        is in the gains, biases, initial voltages and weights of the network, so that
        every simulator runs the same. Read the output as the mean over all steps.

        Parameters
        ----------
        inputs : array or list or dict or tf.data.Dataset
            Some hundred items, in the shapes of the Keras model, without time. Two
            thirds are calibrated on, the rest is for trials.
        targets : array or list or dict, optional
            What the outputs should be, classes or values. By default, what the Keras
            model puts out.
        method : {"percentile", "max", "least_squares", "ltb"}
            How thresholds are chosen; see
            `nengo_dl.converter.calibration.thresholds.find_thresholds`.
        n_steps : int, optional
            Number of steps :math:`T` that the network is to be run for. By default,
            the smallest power of 2 that keeps to the tolerance.
        tolerance : float
            How much accuracy (as a share of the items) may be lost.
        neuron_type : nengo.neurons.NeuronType, optional
            `.IntegrateAndFire` or `nengo.SpikingRectifiedLinear`. By default, that of
            the network if it spikes, else ``IntegrateAndFire(max_spikes=1)``.
        spike_budget : float, optional
            Most spikes of a neuron in an inference. All thresholds are multiplied by
            one factor that keeps to it, for the best accuracy.
        percentile : float
            For ``method="percentile"``.
        correction : {"both", "voltage", "bias", "none"}
            What is corrected after the thresholds are chosen: one bias for every
            channel, the start voltages of all neurons, both, or nothing.
        device : str, optional
            Device for the simulator of the report.

        Returns
        -------
        report : ConversionReport
            On the data that the network was not calibrated on.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with an argument, or there are no neurons that
            can be calibrated. The network is as it was then.

        Warns
        -----
        UserWarning
            If the tolerance could not be kept to.
        """
        calibration = calibrate(
            self,
            inputs,
            targets,
            method,
            n_steps,
            tolerance,
            neuron_type,
            spike_budget,
            percentile,
            correction,
        )
        held_out = calibration.held_out
        return self.report(held_out.inputs, held_out.targets, device=device)

    def report(
        self,
        inputs: Any,
        targets: Any = None,
        n_steps: int | None = None,
        device: str | None = None,
    ) -> ConversionReport:
        """
        Run the Keras model and the converted network, and compare them by layer.

        Parameters
        ----------
        inputs, targets
            Data, as for `calibrate`.
        n_steps : int, optional
            Number of steps. By default that of the calibration; without one, 32 if
            there are neurons that spike, else 1.
        device : str, optional
            Device of the simulator.

        Returns
        -------
        report : ConversionReport
            Print it, or show it in a notebook.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is something wrong with an argument.
        """
        return make_report(self, inputs, targets, n_steps, device)
