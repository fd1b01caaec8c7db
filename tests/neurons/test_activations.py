"""Activation functions, compared with those of Keras."""

import pickle

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ReadonlyError, ValidationError

from nengo_dl import neurons

#: Neurons, and the name and arguments of the function of Keras.
FUNCTIONS = [
    (neurons.CELU(), "celu", {}),
    (neurons.CELU(0.3), "celu", {"alpha": 0.3}),
    (neurons.ELU(), "elu", {}),
    (neurons.ELU(0.3), "elu", {"alpha": 0.3}),
    (neurons.Exponential(), "exponential", {}),
    (neurons.GELU(), "gelu", {}),
    (neurons.GELU(approximate=True), "gelu", {"approximate": True}),
    (neurons.HardShrink(), "hard_shrink", {}),
    (neurons.HardShrink(2), "hard_shrink", {"threshold": 2}),
    (neurons.HardSigmoid(), "hard_sigmoid", {}),
    (neurons.HardSiLU(), "hard_silu", {}),
    (neurons.HardTanh(), "hard_tanh", {}),
    (neurons.LogSigmoid(), "log_sigmoid", {}),
    (neurons.Mish(), "mish", {}),
    (neurons.ReLU(), "relu", {}),
    (neurons.ReLU(6), "relu6", {}),
    (neurons.ReLU(max_value=2), "relu", {"max_value": 2}),
    (neurons.ReLU(negative_slope=0.1), "relu", {"negative_slope": 0.1}),
    (neurons.ReLU(threshold=3), "relu", {"threshold": 3}),
    (
        neurons.ReLU(2, 0.1, 3),
        "relu",
        {"max_value": 2, "negative_slope": 0.1, "threshold": 3},
    ),
    (neurons.SELU(), "selu", {}),
    (neurons.SiLU(), "silu", {}),
    (neurons.SoftShrink(), "soft_shrink", {}),
    (neurons.SoftShrink(2), "soft_shrink", {"threshold": 2}),
    (neurons.Softplus(), "softplus", {}),
    (neurons.Softsign(), "softsign", {}),
    (neurons.SparsePlus(), "sparse_plus", {}),
    (neurons.SparseSigmoid(), "sparse_sigmoid", {}),
    (neurons.Squareplus(), "squareplus", {}),
    (neurons.Squareplus(0.1), "squareplus", {"b": 0.1}),
    (neurons.TanhShrink(), "tanh_shrink", {}),
    (neurons.Threshold(-1, 3), "threshold", {"threshold": -1, "default_value": 3}),
]

IN_OLD_KERAS = {"elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "mish"}
IN_OLD_KERAS |= {"relu", "relu6", "selu", "silu", "softplus", "softsign"}


@pytest.mark.parametrize(
    "neuron_type, name, arguments", FUNCTIONS, ids=[str(f[0]) for f in FUNCTIONS]
)
def test_functions_are_those_of_keras(neuron_type, name, arguments):
    if name not in IN_OLD_KERAS and not hasattr(keras.activations, name):
        pytest.skip(f"Keras {keras.__version__} has no function `{name}`")
    # with zero, and all points where pieces meet
    J = np.concatenate([np.linspace(-50, 50, 401), [-700, -3.01, 1e-9, -1e-9, 700]])
    function = getattr(keras.activations, name)
    expected = keras.ops.convert_to_numpy(
        function(keras.ops.convert_to_tensor(J), **arguments)
    )
    assert expected.dtype == "float64"
    actual = neuron_type.rates(J, [1], [0])[:, 0]
    rtol, atol = 1e-10, 1e-14
    if name == "gelu" or "negative_slope" in arguments:
        # TensorFlow has their constants in single precision only
        rtol, atol = 1e-7, 1e-8
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)
    assert neuron_type.negative == np.any(actual < 0)


@pytest.mark.parametrize(
    "neuron_type", [f[0] for f in FUNCTIONS], ids=[str(f[0]) for f in FUNCTIONS]
)
def test_ensembles(neuron_type):
    """With gain and bias."""
    x, n = 0.4, 5
    with nengo.Network(seed=0) as net:
        stim = nengo.Node([x])
        ens = nengo.Ensemble(
            n,
            1,
            neuron_type=neuron_type,
            gain=np.ones(n),
            bias=np.linspace(-3, 3, n),
            encoders=np.ones((n, 1)),
        )
        nengo.Connection(stim, ens, synapse=None)
        probe = nengo.Probe(ens.neurons)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(2)
        built = sim.data[ens]
    expected = neuron_type.rates(x, built.gain, built.bias)
    np.testing.assert_allclose(sim.data[probe], np.repeat(expected, 2, axis=0))
    np.testing.assert_allclose(built.intercepts, -built.bias)
    np.testing.assert_allclose(
        built.max_rates, neuron_type.rates(1, built.gain, built.bias)[0]
    )


BOUNDED = (
    neurons.HardSigmoid,
    neurons.HardTanh,
    neurons.LogSigmoid,
    neurons.Softsign,
    neurons.SparseSigmoid,
)


@pytest.mark.parametrize(
    "neuron_type", [f[0] for f in FUNCTIONS], ids=[str(f[0]) for f in FUNCTIONS]
)
def test_gain_bias(neuron_type):
    max_rates, intercepts = np.array([200.0, 300.0, 400.0]), np.array([-0.5, 0, 0.5])
    bounded = isinstance(neuron_type, BOUNDED)
    if bounded or getattr(neuron_type, "max_value", None) is not None:
        with pytest.raises(ValidationError, match="other `max_rates`, or its `gain`"):
            neuron_type.gain_bias(max_rates, intercepts)
        return
    gain, bias = neuron_type.gain_bias(max_rates, intercepts)
    found = neuron_type.max_rates_intercepts(gain, bias)
    np.testing.assert_allclose(found, [max_rates, intercepts], atol=1e-14)


def test_gain_bias_of_bounded_neurons():
    neuron_type = neurons.HardSigmoid(amplitude=400)
    gain, bias = neuron_type.gain_bias([250, 350], 0)
    np.testing.assert_allclose(gain, [0.75, 2.25])
    np.testing.assert_allclose(bias, 0)
    with pytest.raises(ValidationError, match="between 200 and 400"):
        neuron_type.gain_bias([100], [0])


@pytest.mark.parametrize("neuron_type", [neurons.ELU(), neurons.HardTanh()], ids=str)
def test_neurons_without_gain(neuron_type):
    max_rates, intercepts = neuron_type.max_rates_intercepts([0, 0], [-3, 0])
    np.testing.assert_allclose(max_rates, neuron_type.rates([-3, 0], [1], [0])[:, 0])
    assert not np.any(np.isfinite(intercepts))


def test_arguments():
    assert str(neurons.ELU()) == "ELU()"
    assert str(neurons.ELU(0.5, amplitude=2)) == "ELU(alpha=0.5, amplitude=2)"
    assert str(neurons.ReLU(6)) == "ReLU(max_value=6)"
    expected = "Threshold(threshold=1, default_value=0)"
    assert str(neurons.Threshold(1, 0)) == expected
    assert not neurons.ReLU().negative and neurons.ReLU(negative_slope=0.1).negative
    assert neurons.SiLU(0.5).rates(2, [1], [0]) == 0.5 * neurons.SiLU().rates(2, 1, 0)
    with pytest.raises(ReadonlyError):
        neurons.ELU().alpha = 2


@pytest.mark.parametrize(
    "cls, argument",
    [
        (neurons.CELU, {"alpha": 0}),
        (neurons.ELU, {"alpha": "high"}),
        (neurons.GELU, {"approximate": 1}),
        (neurons.ReLU, {"max_value": -1}),
        (neurons.ReLU, {"threshold": -1}),
        (neurons.SoftShrink, {"threshold": -1}),
        (neurons.Squareplus, {"b": 0}),
        (neurons.SiLU, {"amplitude": 0}),
        (neurons.SiLU, {"initial_state": {"voltage": nengo.dists.Choice([0])}}),
    ],
    ids=str,
)
def test_wrong_arguments(cls, argument):
    with pytest.raises(ValidationError, match=next(iter(argument))):
        cls(**argument)


@pytest.mark.parametrize(
    "neuron_type",
    [neurons.ReLU(6, 0.1), neurons.GELU(approximate=True), neurons.Softsign(0.5)],
    ids=str,
)
def test_equality_and_pickling(neuron_type):
    copy = pickle.loads(pickle.dumps(neuron_type))
    assert copy == neuron_type and hash(copy) == hash(neuron_type)
    assert copy.negative == neuron_type.negative
    assert neuron_type != type(neuron_type)()
