"""
Operators that have only Nengo's NumPy step, in the shapes of those of other packages.

They are no test dependencies of ours; what their operators have in common with these is
said in the docstrings.
"""

from __future__ import annotations

from collections import deque

import nengo
import numpy as np
from nengo.builder import Builder, Signal
from nengo.builder.learning_rules import build_or_passthrough
from nengo.builder.operator import Operator, Reset
from nengo.learning_rules import LearningRuleType
from nengo.params import Default, NumberParam
from nengo.synapses import SynapseParam


class PlainOperator(Operator):
    """An operator that is nothing but its accesses, and attributes for its step."""

    def __init__(self, sets=(), incs=(), reads=(), updates=(), tag=None, **attributes):
        super().__init__(tag=tag)
        self.sets, self.incs = list(sets), list(incs)
        self.reads, self.updates = list(reads), list(updates)
        vars(self).update(attributes)


# -- neurons of nengo-bio: several inputs, state outside of signals, single elements ---


class Compartments:
    """Integrates; an object with state, of which an operator has a bound method."""

    def __init__(self, n_neurons):
        self.voltages = np.zeros(n_neurons)

    def step_from_memory(self, out, *xs):
        for i in range(len(self.voltages)):
            self.voltages[i] += sum(x[i] for x in xs)
            if self.voltages[i] > 3:
                self.voltages[i] = 0
                out[i] = 1000


class ManyChannels(nengo.neurons.NeuronType):
    def gain_bias(self, max_rates, intercepts):
        return np.ones_like(max_rates), np.ones_like(max_rates)

    def max_rates_intercepts(self, gain, bias):
        return gain, bias

    def rates(self, x, gain, bias):
        return 300 * np.maximum(self.current(x, gain, bias), 0)


class SimManyChannels(PlainOperator):
    def make_step(self, signals, dt, rng):
        xs = [signals[x] for x in self.reads]
        output = signals[self.sets[0]]

        def step():
            output[...] = 0
            self.step_math(output, *xs)

        return step


@Builder.register(ManyChannels)
def build_many_channels(model, neuron_type, neurons):
    sig = model.sig[neurons]
    model.add_op(
        SimManyChannels(
            sets=[sig["out"]],
            reads=[sig["in"], sig["bias"]],
            step_math=Compartments(neurons.size_in).step_from_memory,
        )
    )


# -- recursive least squares of nengolib: matrices that are changed in place -----------


class LeastSquares(LearningRuleType):
    modifies = "decoders"
    probeable = ("error", "delta", "inverse")
    pre_synapse = SynapseParam(
        "pre_synapse", default=nengo.Lowpass(0.005), readonly=True
    )

    def __init__(self, learning_rate=Default, pre_synapse=Default):
        super().__init__(learning_rate, size_in="post_state")
        self.pre_synapse = pre_synapse


class SimLeastSquares(PlainOperator):
    def make_step(self, signals, dt, rng):
        pre, error = (signals[s] for s in self.reads)
        delta, inverse = (signals[s] for s in self.updates)

        def step():
            projected = inverse.dot(pre)
            gain = projected / (1 + pre.dot(projected))
            inverse[...] -= np.outer(gain, projected)
            delta[...] = -np.outer(error, gain)

        return step


@Builder.register(LeastSquares)
def build_least_squares(model, rule_type, rule):
    error = Signal(shape=(rule.size_in,), name="error")
    model.add_op(Reset(error))
    conn = rule.connection
    activities = model.sig[conn.pre_obj.neurons]["out"]
    pre = build_or_passthrough(model, rule_type.pre_synapse, activities)
    inverse = Signal(rule_type.learning_rate * np.eye(pre.size), name="inverse")
    model.sig[rule].update({"in": error, "error": error, "inverse": inverse})
    delta = model.sig[rule]["delta"]
    model.add_op(SimLeastSquares(reads=[pre, error], updates=[delta, inverse]))


# -- a rule with a function of its own, and buffers that only the operator knows -------


class FunctionRule(LearningRuleType):
    modifies = "weights"
    probeable = ("delta",)
    learning_rate = NumberParam("learning_rate", low=0, default=1e-5, readonly=True)

    def __init__(self, learning_rate=Default, function=np.tanh):
        super().__init__(learning_rate, size_in=0)
        self.function = function


class SimFunctionRule(PlainOperator):
    """Reads the weights that its ``delta`` is added to, and a filter of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.buffer = Signal(shape=self.reads[1].shape, name="buffer")

    def init_signals(self, signals):
        super().init_signals(signals)
        signals.init(self.buffer)

    def make_step(self, signals, dt, rng):
        pre, post, weights = (signals[s] for s in self.reads)
        delta, buffer = signals[self.updates[0]], signals[self.buffer]
        rate, function = self.rate * dt, self.function

        def step():
            buffer[...] = 0.9 * buffer + function(0.01 * post)
            delta[...] = rate * np.outer(buffer, pre) - dt * weights

        return step


@Builder.register(FunctionRule)
def build_function_rule(model, rule_type, rule):
    conn = rule.connection
    sig = model.sig
    model.add_op(
        SimFunctionRule(
            reads=[
                sig[conn.pre_obj.neurons]["out"],
                sig[conn.post_obj.neurons]["out"],
                sig[conn]["weights"],
            ],
            updates=[sig[rule]["delta"]],
            rate=rule_type.learning_rate,
            function=rule_type.function,
        )
    )
    sig[rule]["in"] = None


# -- a synapse with a build function of its own, and a queue ---------------------------


class Delay(nengo.synapses.Synapse):
    """Delays by some steps; its output is a part of a signal."""

    def __init__(self, n_steps, **kwargs):
        super().__init__(**kwargs)
        self.n_steps = n_steps


class SimDelay(PlainOperator):
    def make_step(self, signals, dt, rng):
        x, y = signals[self.reads[0]], signals[self.updates[0]]
        count = signals[self.updates[1]]
        queue = deque([0 * x] * self.n_steps)

        def step():
            queue.append(x.copy())
            y[...] = queue.popleft() + count
            count[...] += 1

        return step


@Builder.register(Delay)
def build_delay(model, synapse, sig_in, dtype=None, mode="update"):
    whole = Signal(shape=(2 * sig_in.size,), name="delayed")
    count = Signal(np.array(0), name="count")
    y = whole[1::2]
    model.add_op(SimDelay(reads=[sig_in], updates=[y, count], n_steps=synapse.n_steps))
    return y


def other_packages(stim):
    """A network of all of these; ``stim`` has two dimensions or more."""
    channels, rates = (
        nengo.Ensemble(6, 2, neuron_type=neuron_type, seed=1)
        for neuron_type in (ManyChannels(), nengo.LIFRate())
    )
    out = nengo.Node(size_in=2)
    nengo.Connection(stim[:2], channels, synapse=Delay(3))
    nengo.Connection(stim[:2], rates, synapse=Delay(5))
    squares = nengo.Connection(rates, out, learning_rule_type=LeastSquares(1e-3))
    nengo.Connection(out, squares.learning_rule, synapse=0.01)
    weights = nengo.Connection(
        channels,
        rates,
        solver=nengo.solvers.LstsqL2(weights=True),
        learning_rule_type=FunctionRule(1e-3),
        seed=2,
    )
    nengo.Probe(channels.neurons)
    nengo.Probe(out)
    nengo.Probe(squares.learning_rule, "inverse", sample_every=0.004)
    nengo.Probe(weights, "weights", sample_every=0.004)
