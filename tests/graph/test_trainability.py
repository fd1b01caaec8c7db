import nengo
import numpy as np
import pytest
from graph import literal_graphs
from nengo.builder.signal import Signal

import nengo_dl
from nengo_dl.builder import build_model
from nengo_dl.graph.trainability import (
    is_minibatched,
    is_parameter,
    is_trainable,
    mark_signals,
    parameter_signals,
)


def mark(net, **kwargs):
    """Return a model with marked signals."""
    model = build_model(net, dt=0.001)
    mark_signals(model, model.operators, **kwargs)
    return model


def encoders(model, ens):
    return is_trainable(model.sig[ens]["encoders"])


def bias(model, ens):
    return is_trainable(model.sig[ens.neurons]["bias"])


def weights(model, conn):
    return is_trainable(model.sig[conn]["weights"])


@pytest.mark.parametrize("mark, is_param", ((True, True), (False, True), (None, False)))
def test_marks(mark, is_param):
    sig = literal_graphs.signal((3,), trainable=mark, minibatched=True)
    for part in (sig, sig[:2]):
        assert is_trainable(part) is mark
        assert is_minibatched(part) is True
        assert is_parameter(part) is is_param


def test_missing_marks():
    sig = literal_graphs.signal()
    assert is_trainable(sig) is None
    assert is_minibatched(sig) is None
    assert not is_parameter(sig)


def test_signals_without_marks():
    signal = Signal(shape=(3,))
    assert is_trainable(signal) is None
    assert not is_minibatched(signal)


def test_views_have_the_marks_of_their_bases():
    signal = Signal(shape=(3,))
    signal.trainable, signal.minibatched = False, True
    assert is_trainable(signal[1:]) is False
    assert is_minibatched(signal[1:])


def test_defaults():
    with nengo.Network() as net:
        node = nengo.Node([0])
        ens, post = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        passed_on = nengo.Connection(ens, post)
        from_node = nengo.Connection(node, ens, transform=2)
        to_neurons = nengo.Connection(
            ens.neurons, post.neurons, transform=np.ones((5, 5))
        )
        probe = nengo.Probe(ens)
    model = mark(net)

    assert encoders(model, ens) is True and bias(model, ens) is True
    for conn in (passed_on, from_node, to_neurons):
        assert weights(model, conn) is True
        assert not is_minibatched(model.sig[conn]["weights"])
    parameters = {signal.base for _, signal, _ in parameter_signals(model)}
    assert len(parameters) == 7
    # all the rest is part of the simulation: also what a probe decodes with
    for op in model.operators:
        for signal in op.all_signals:
            if signal.base not in parameters:
                assert is_trainable(signal) is None
    assert is_minibatched(model.sig[ens.neurons]["in"])
    assert is_minibatched(model.sig[probe]["in"])
    # constants and the clock are the same for all items
    assert not is_minibatched(model.sig[node]["out"])
    assert not is_minibatched(model.time) and not is_minibatched(model.step)


@pytest.mark.parametrize("rule", ["pes", "voja", "oja", "list", "dict"])
def test_targets_of_learning_rules(rule):
    with nengo.Network() as net:
        pre, post = nengo.Ensemble(5, 1), nengo.Ensemble(6, 1)
        to_neurons = rule not in ("pes", "voja")
        rules = {
            "pes": nengo.PES(),
            "voja": nengo.Voja(),
            "oja": nengo.Oja(),
            "list": [nengo.Oja(), nengo.BCM()],
            "dict": {"a": nengo.Oja(), "b": nengo.BCM()},
        }
        conn = nengo.Connection(
            pre,
            post,
            solver=nengo.solvers.LstsqL2(weights=to_neurons),
            learning_rule_type=rules[rule],
        )
    model = mark(net)
    changes_encoders = rule == "voja"
    assert weights(model, conn) is changes_encoders
    assert encoders(model, post) is not changes_encoders
    assert is_minibatched(model.sig[conn]["weights"]) is not changes_encoders
    assert is_minibatched(model.sig[post]["encoders"]) is changes_encoders
    assert encoders(model, pre) is True
    assert bias(model, post) is True


@pytest.mark.parametrize("rule", [nengo.PES(), nengo.Voja()])
def test_learned_and_trained(rule):
    with nengo.Network() as net:
        nengo_dl.configure_settings(trainable=None)
        pre, post = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        conn = nengo.Connection(pre, post, learning_rule_type=rule)
    target = post if isinstance(rule, nengo.Voja) else conn
    net.config[target].trainable = True
    with pytest.warns(UserWarning, match="modified by a learning rule.*trainable"):
        model = mark(net)
    attr = "encoders" if target is post else "weights"
    assert is_trainable(model.sig[target][attr]) is True
    assert is_minibatched(model.sig[target][attr])


def test_inference_only():
    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
        conn = nengo.Connection(ens, ens)
        learned = nengo.Connection(ens, ens, learning_rule_type=nengo.PES())
    model = mark(net, inference_only=True)
    assert [encoders(model, ens), bias(model, ens)] == [False, False]
    assert [weights(model, conn), weights(model, learned)] == [False, False]


def test_setting_of_a_type_and_of_an_object():
    with nengo.Network() as net:
        nengo_dl.configure_settings(trainable=None)
        ens, other = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        conn, other_conn = nengo.Connection(ens, other), nengo.Connection(other, ens)
    net.config[nengo.Ensemble].trainable = False
    net.config[ens].trainable = True
    net.config[conn].trainable = False
    model = mark(net)
    assert [encoders(model, ens), encoders(model, other)] == [True, False]
    assert [weights(model, conn), weights(model, other_conn)] == [False, True]


def test_neurons_follow_their_ensemble():
    with nengo.Network() as net:
        nengo_dl.configure_settings(trainable=None)
        follows, own = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
    net.config[nengo.Ensemble].trainable = False
    net.config[own.neurons].trainable = True
    model = mark(net)
    assert [encoders(model, follows), bias(model, follows)] == [False, False]
    assert [encoders(model, own), bias(model, own)] == [False, True]

    net.config[nengo.ensemble.Neurons].trainable = True
    assert bias(mark(net), follows) is True


def test_subnetworks():
    with nengo.Network() as net:
        nengo_dl.configure_settings(trainable=None)
        net.config[nengo.Ensemble].trainable = False
        outer = nengo.Ensemble(5, 1)
        with nengo.Network():
            inherits = nengo.Ensemble(5, 1)
            with nengo.Network():
                inherits_deeply = nengo.Ensemble(5, 1)
        with nengo.Network():
            nengo_dl.configure_settings(trainable=True)
            overrides = nengo.Ensemble(5, 1)
            with nengo.Network():
                overrides_deeply = nengo.Ensemble(5, 1)
    model = mark(net)
    assert not any(encoders(model, e) for e in (outer, inherits, inherits_deeply))
    assert all(encoders(model, e) for e in (overrides, overrides_deeply))


def test_model_without_network():
    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
    model = build_model(net, dt=0.001)
    model.toplevel = None
    with pytest.warns(UserWarning, match="No top-level network"):
        mark_signals(model, model.operators)
    assert encoders(model, ens) is None
    assert is_minibatched(model.sig[ens.neurons]["in"])
    assert not is_minibatched(model.sig[ens]["encoders"])


def test_sparse_weights_have_no_minibatch_axis():
    with nengo.Network() as net:
        a, b = nengo.Node([0, 0]), nengo.Node(size_in=2)
        transform = nengo.Sparse((2, 2), indices=[[0, 1]], init=[1.0])
        conn = nengo.Connection(a, b, transform=transform)
    assert not is_minibatched(mark(net).sig[conn]["weights"])
