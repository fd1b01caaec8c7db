"""Save the parameters of a simulator, and load them into another one."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError
from parameters.networks import assert_equal_parameters, make_network, parameters

import nengo_dl


def output(sim, n_steps=10):
    """Run, and return what the probe with the label "out" recorded."""
    probe = next(p for p in sim.model.probes if p.label == "out")
    sim.clear_probes()
    sim.run_steps(n_steps)
    return sim.data[probe]


@pytest.mark.parametrize("simplifications", [None, ()])
@pytest.mark.parametrize("include_state", [True, False])
def test_save_and_load(include_state, simplifications, Simulator, tmp_path):
    settings = {"trainable": None, "jit_compile": "auto"}
    if simplifications is not None:
        settings |= {"simplifications": simplifications, "jit_compile": False}
    net, other = make_network(0, **settings), make_network(1, **settings)
    for network in (net, other):
        network.config[nengo.Ensemble].trainable = False
    with Simulator(net, unroll_simulation=1) as sim:
        first = output(sim)
        sim.save_params(tmp_path / "params", include_state=include_state)
        second = output(sim)
        saved = parameters(sim)
    with Simulator(other, unroll_simulation=1) as sim:
        keras_model = sim.keras_model
        assert not np.allclose(output(sim), first)
        sim.reset()
        sim.load_params(tmp_path / "params", include_state=include_state)
        assert sim.keras_model is keras_model
        assert_equal_parameters(parameters(sim), saved)
        assert sim.n_steps == (10 if include_state else 0)
        assert sim.time == pytest.approx(sim.n_steps * 0.001)
        np.testing.assert_allclose(
            output(sim), second if include_state else first, atol=1e-5
        )
        predicted = sim.predict(n_steps=3)
        sim.reset()
        assert not np.allclose(
            list(parameters(sim).values())[0], list(saved.values())[0]
        )
    assert len(predicted) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "params.npz"]


def test_networks_that_differ(Simulator, tmp_path):
    """Neuron types, synapses, probes, and types of numbers may be others."""
    with Simulator(make_network(0, neuron_type=nengo.LIFRate())) as sim:
        sim.save_params(str(tmp_path / "rates"))
        saved, rates = parameters(sim), output(sim, 50)
    others = make_network(
        1, synapse=None, extra=True, dtype="float64", inference_only=True
    )
    with Simulator(others, minibatch_size=2) as sim:
        sim.load_params(str(tmp_path / "rates"))
        assert_equal_parameters(parameters(sim), saved)
        sim.save_params(tmp_path / "spikes")
    with Simulator(make_network(2, neuron_type=nengo.LIFRate())) as sim:
        sim.load_params(tmp_path / "spikes")
        assert np.allclose(output(sim, 50), rates)


@pytest.mark.parametrize("labels", [True, False])
def test_order(labels, Simulator, tmp_path):
    """Objects with labels are found in any order, others by their positions."""

    def make(seed, names):
        with nengo.Network(seed=seed) as net:
            inp = nengo.Node([1])
            objs = {
                name: nengo.Ensemble(10, 1, label=name if labels else None)
                for name in names
            }
            net.conns = {name: nengo.Connection(inp, objs[name]) for name in names}
            net.feedback = {n: nengo.Connection(objs[n], objs["a"]) for n in names}
        net.objs = objs
        return net

    nets = make(0, "abc"), make(1, "cab")
    with Simulator(nets[0]) as sim:
        sim.save_params(tmp_path / "params")
        saved = {name: sim.data[ens] for name, ens in nets[0].objs.items()}
        weights = {n: sim.data[conn].weights for n, conn in nets[0].feedback.items()}
    with Simulator(nets[1]) as sim:
        if not labels:
            # the feedback is to another ensemble
            with pytest.raises(SimulationError, match=r"only in the network: ensembl"):
                sim.load_params(tmp_path / "params")
            return
        sim.load_params(tmp_path / "params")
        for name, ens in nets[1].objs.items():
            assert np.allclose(sim.data[ens].encoders, saved[name].encoders)
            assert (sim.data[ens].bias == saved[name].bias).all()
            conn = nets[1].feedback[name]
            assert (sim.data[conn].weights == weights[name]).all()


def test_other_labels(Simulator, tmp_path):
    nets = {label: make_network(i) for i, label in enumerate([None, "a", "x"])}
    for label, net in nets.items():
        net.parts[0].label = label
    with Simulator(nets[None]) as sim:
        sim.save_params(tmp_path / "unlabelled")
        saved = parameters(sim)
    with Simulator(nets["a"]) as sim:
        sim.load_params(tmp_path / "unlabelled")
        sim.save_params(tmp_path / "labelled")
    with Simulator(nets["x"]) as sim:
        with pytest.warns(UserWarning, match=r"ensembles\['a'\].* as ensembles\['x'\]"):
            sim.load_params(tmp_path / "labelled")
        values = parameters(sim).values()
    for value, expected in zip(values, saved.values()):
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_learned_parameters(Simulator, tmp_path):
    def make(seed, learns=True):
        with nengo.Network(seed=seed) as net:
            inp = nengo.Node([0.5])
            a, b = nengo.Ensemble(10, 1), nengo.Ensemble(12, 1)
            nengo.Connection(inp, a)
            conn = nengo.Connection(a, b)
            voja = nengo.Connection(a, b)
            if learns:
                conn.learning_rule_type = nengo.PES()
                voja.learning_rule_type = nengo.Voja()
                nengo.Connection(inp, conn.learning_rule)
        return net, inp, conn, b

    def load(filename, minibatch_size, learns=True):
        net, _, conn, b = make(1, learns)
        with Simulator(net, minibatch_size=minibatch_size) as sim:
            sim.load_params(tmp_path / filename)
            return sim.data[conn].weights, sim.data[b].scaled_encoders

    for minibatch_size, same in [(None, True), (3, True), (3, False)]:
        net, inp, conn, b = make(0)
        data = np.full((minibatch_size or 1, 20, 1), 0.5)
        if not same:
            data *= np.arange(3)[:, None, None]
        with Simulator(net, minibatch_size=minibatch_size) as sim:
            initial = sim.data[conn].weights
            sim.run_steps(20, data={inp: data})
            sim.save_params(tmp_path / f"{minibatch_size}_{same}")
            weights = sim.data[conn].weights, sim.data[b].scaled_encoders
            assert not np.allclose(initial, weights[0])
        if not same:
            different = weights
        elif minibatch_size is None:
            one = weights

    for filename in ("None_True", "3_True"):
        for minibatch_size in (None, 1, 2, 3):
            for value, expected in zip(load(filename, minibatch_size), one):
                assert value.ndim == expected.ndim + (minibatch_size is not None)
                assert np.allclose(value, expected)
    for value, expected in zip(load("3_False", 3), different):
        assert (value == expected).all()
    for minibatch_size in (None, 2):
        with pytest.raises(
            SimulationError, match="weights was learned by 3 items of a"
        ):
            load("3_False", minibatch_size)


@pytest.mark.training
def test_saving_while_training(Simulator, tmp_path):
    """Callbacks may save and predict; what was saved can be evaluated later."""
    net = make_network(0, neuron_type=nengo.RectifiedLinear(), trainable=None)
    inp, probe = net.all_nodes[0], net.all_probes[-1]
    x, y = {inp: np.ones((4, 5, 1))}, {probe: np.ones((4, 5, 9))}
    predicted = []

    def on_epoch_end(epoch, logs):
        sim.save_params(tmp_path / f"epoch_{epoch}")
        predicted.append(sim.predict(x, verbose=0)[probe])

    callback = tf.keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
    with Simulator(net, minibatch_size=2) as sim:
        sim.compile(tf.optimizers.SGD(1e-6), loss={probe: "mse"})
        before = sim.evaluate(x, y, verbose=0)["loss"]
        history = sim.fit(x, y, epochs=3, verbose=0, callbacks=[callback]).history
        trained = parameters(sim)
        sim.reset()
        assert sim.evaluate(x, y, verbose=0)["loss"] == pytest.approx(before)
        for epoch in range(3):
            sim.load_params(tmp_path / f"epoch_{epoch}")
            np.testing.assert_allclose(
                sim.predict(x, verbose=0)[probe], predicted[epoch]
            )
        assert_equal_parameters(parameters(sim), trained)
        # a trained network trains on from where it was
        losses = sim.fit(x, y, epochs=2, verbose=0).history["loss"]
    assert before > history["loss"][-1] > losses[0] > losses[1]


def test_scaled_parameters(Simulator, tmp_path):
    """Files have the values without the scales of a network."""

    def make(neuron_scale=None, weight_scale=None):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(parameter_scale=None)
            with nengo.Network():
                nengo_dl.configure_settings(parameter_scale=None)
                a, b = (
                    nengo.Ensemble(2, 1, gain=np.ones(2), bias=np.ones(2)).neurons
                    for _ in range(2)
                )
            conn = nengo.Connection(a, b, transform=np.ones((2, 2)))
        if neuron_scale is not None:
            net.networks[0].config[b].parameter_scale = neuron_scale
        if weight_scale is not None:
            net.config[conn].parameter_scale = weight_scale
        return net, b, conn

    net, b, conn = make(4, [[1], [2]])
    with Simulator(net, unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
        before = parameters(sim)
        sim.load_params(tmp_path / "params")
        assert_equal_parameters(parameters(sim), before)
    net, b, conn = make(weight_scale=3)
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.warns(UserWarning, match="other gains"):
            sim.load_params(tmp_path / "params")
        np.testing.assert_allclose(sim.data[b.ensemble].bias, 0.25)
        np.testing.assert_allclose(sim.data[conn].weights, [[3, 3], [1.5, 1.5]])
    net, b, conn = make([1, 2, 3])
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(ValidationError, match="parameter_scale"):
            sim.save_params(tmp_path / "params")


def test_network_that_has_grown(Simulator, tmp_path):
    """What was added after the simulator was made is passed over."""

    def make():
        with nengo.Network(seed=0) as net:
            inp = nengo.Node([0.5], label="x")
            with nengo.Network(label="inner") as net.inner:
                ens = nengo.Ensemble(5, 1, label="a")
            net.conn = nengo.Connection(inp, ens)
            nengo.Probe(ens)
        return net, ens

    net, ens = make()
    with Simulator(net, unroll_simulation=1) as sim:
        expected = parameters(sim)
        with net:
            probe = nengo.Probe(ens)
            node = nengo.Node(size_in=1, label="x")
            layer = nengo_dl.Layer(tf.keras.layers.Dense(1))(node)
            nengo.Connection(net.nodes[0], ens)
            with nengo.Network(label="inner"):
                added = nengo.Ensemble(7, 1, label="a")
            nengo.Connection(ens, added, learning_rule_type=nengo.PES())
            nengo.Connection(ens, node)
        with net.inner:
            nengo.Ensemble(5, 1, label="a")
        assert_equal_parameters(parameters(sim), expected)
        for include_state in (False, True):
            sim.save_params(tmp_path / "params", include_state=include_state)
            sim.load_params(tmp_path / "params", include_state=include_state)
        sim.freeze_params(net)
        assert np.allclose(ens.bias, sim.data[ens].bias)
        assert added.gain is nengo.Ensemble.gain.default
        for obj in (added, probe, layer):
            with pytest.raises((ValueError, TypeError)):
                sim.freeze_params(obj)
    with Simulator(make()[0], unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "params", include_state=True)
        assert_equal_parameters(parameters(sim), expected)
    # the network as it is now has more
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="only in the network"):
            sim.load_params(tmp_path / "params")


def test_nan(Simulator, tmp_path):
    net = make_network(0)
    with Simulator(net, unroll_simulation=1) as sim:
        key = next(k for k, v in sim.tensor_graph.base_params.items() if v.ndim == 1)
        variable = sim.tensor_graph.base_params[key]
        variable.assign(np.full(variable.shape, np.nan))
        with pytest.warns(UserWarning, match="have NaN: ens.*bias.* does not load it"):
            sim.save_params(tmp_path / "params")
        with pytest.raises(SimulationError, match="bias has NaN in the file"):
            sim.load_params(tmp_path / "params")


def test_type_that_files_do_not_have(Simulator, tmp_path):
    layer = tf.keras.layers.Dense(2, dtype="bfloat16")
    with nengo.Network(seed=0) as net:
        nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([1, 2])))
    with Simulator(net, unroll_simulation=1) as sim:
        before = layer.get_weights()
        sim.save_params(tmp_path / "params")
        layer.set_weights([0 * value for value in before])
        sim.load_params(tmp_path / "params")
        assert (layer.get_weights()[0] == before[0]).all()
