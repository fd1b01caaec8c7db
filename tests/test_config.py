import pickle

import nengo
import numpy as np
import pytest
from nengo.exceptions import ConfigError, NetworkContextError, ValidationError

from nengo_dl.config import configure_settings, get_setting


def test_outside_of_a_network():
    with pytest.raises(NetworkContextError, match="inside of a network"):
        configure_settings(trainable=None)


def test_unknown_setting():
    with nengo.Network(), pytest.raises(ConfigError, match="`trainble` is not"):
        configure_settings(trainble=True)


@pytest.mark.parametrize(
    "nengo_type", [nengo.Ensemble, nengo.Connection, nengo.ensemble.Neurons]
)
def test_trainable(nengo_type):
    with nengo.Network() as net:
        configure_settings(trainable=None)
    assert net.config[nengo_type].trainable is None

    net.config[nengo_type].trainable = True
    assert net.config[nengo_type].trainable is True

    with pytest.raises(ValidationError):
        net.config[nengo_type].trainable = 5
    assert net.config[nengo_type].trainable is True

    with net:
        configure_settings(trainable=False)
    assert net.config[nengo_type].trainable is False


def test_trainable_of_single_objects():
    with nengo.Network() as net:
        configure_settings(trainable=None)
        ens = nengo.Ensemble(10, 1)
        other = nengo.Ensemble(10, 1)
    net.config[ens].trainable = False
    net.config[ens.neurons].trainable = True

    assert net.config[ens].trainable is False
    assert net.config[ens.neurons].trainable is True
    assert net.config[other].trainable is None


@pytest.mark.parametrize("nengo_type", [nengo.Connection, nengo.Probe])
def test_training_synapse(nengo_type):
    """None as a setting adds the option; None as an option is no synapse."""
    with nengo.Network() as net:
        configure_settings(training_synapse=None)
    params = net.config[nengo_type]
    assert "training_synapse" not in params
    params.training_synapse = None
    assert "training_synapse" in params
    with net:
        configure_settings(training_synapse=0.1)
    assert params.training_synapse == nengo.Lowpass(0.1)
    with pytest.raises(ValidationError, match="training_synapse"):
        params.training_synapse = "lowpass"
    with net:
        configure_settings(training_synapse=None)
    assert "training_synapse" not in params


def test_subnetworks():
    with nengo.Network() as net:
        configure_settings(trainable=True)
        with nengo.Network() as subnet:
            configure_settings(trainable=False, dtype="float64", keep_history=False)
            probe = nengo.Probe(nengo.Node([0]))

    assert net.config[nengo.Ensemble].trainable is True
    assert subnet.config[nengo.Ensemble].trainable is False
    assert get_setting(net, "dtype") == "float64"
    assert get_setting(subnet, "dtype") is None
    assert get_setting(net, "keep_history", obj=probe) is False


@pytest.mark.parametrize(
    "setting, value",
    [
        ("planner", list),
        ("sorter", list),
        ("simplifications", (list, tuple)),
        ("inference_only", True),
        ("lif_smoothing", 0.5),
        ("dtype", "float16"),
        ("stateful", False),
        ("use_loop", False),
        ("learning_phase", True),
        ("jit_compile", "auto"),
        ("jit_compile", False),
        ("allow_tf32", True),
    ],
)
def test_network_settings(setting, value):
    with nengo.Network() as net:
        pass
    assert get_setting(net, setting) is None
    assert get_setting(net, setting, default="default") == "default"

    with net:
        configure_settings(**{setting: value})
    assert get_setting(net, setting, default="default") == value
    assert getattr(net.config[nengo.Network], setting) == value

    model = nengo.builder.Model()
    assert get_setting(model, setting, default="default") == "default"
    model.toplevel = net
    assert get_setting(model, setting, default="default") == value


def test_only_given_settings_change():
    with nengo.Network() as net:
        configure_settings(dtype="float64", use_loop=False)
        configure_settings(dtype="float32")
    assert get_setting(net, "dtype") == "float32"
    assert get_setting(net, "use_loop") is False
    assert get_setting(net, "stateful", default="default") == "default"


@pytest.mark.parametrize(
    "setting, value",
    [
        ("planner", 5),
        ("simplifications", 5),
        ("simplifications", [5]),
        ("inference_only", "yes"),
        ("lif_smoothing", 0),
        ("lif_smoothing", np.nan),
        ("lif_smoothing", np.float32(np.inf)),
        ("dtype", np.int32),
        ("dtype", list),
        ("dtype", "float31"),
        ("dtype", None),
        ("keep_history", 5),
        ("training_synapse", "lowpass"),
        ("stateful", None),
        ("learning_phase", 1),
        ("jit_compile", "yes"),
        ("jit_compile", None),
        ("allow_tf32", 1),
    ],
)
def test_invalid_values(setting, value):
    with nengo.Network(), pytest.raises(ValidationError, match=setting):
        configure_settings(**{setting: value})


@pytest.mark.parametrize("setting", ["planner", "simplifications", "learning_phase"])
def test_none_stands_for_the_default(setting):
    with nengo.Network() as net:
        configure_settings(**{setting: None})
    assert get_setting(net, setting, default="default") == "default"


@pytest.mark.parametrize("dtype", [np.dtype("float64"), np.float64, float, "float64"])
def test_dtype_objects(dtype):
    with nengo.Network() as net:
        configure_settings(dtype=dtype)
    assert get_setting(net, "dtype") == "float64"


def test_keep_history():
    with nengo.Network() as net:
        kept = nengo.Probe(nengo.Node([0]))
        not_kept = nengo.Probe(nengo.Node([0]))
    assert get_setting(net, "keep_history", True, obj=kept) is True

    with net:
        configure_settings(keep_history=True)
    net.config[not_kept].keep_history = False
    assert get_setting(net, "keep_history", obj=kept) is True
    assert get_setting(net, "keep_history", obj=not_kept) is False


@pytest.mark.parametrize(
    "copy", [nengo.Network.copy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_copies_keep_settings(copy):
    with nengo.Network() as net:
        configure_settings(dtype="float64", keep_history=True, planner=list)
        net.probe = nengo.Probe(nengo.Node([0]))
    net.config[net.probe].keep_history = False

    net2 = copy(net)
    assert get_setting(net2, "dtype") == "float64"
    assert get_setting(net2, "planner") is list
    assert get_setting(net2, "keep_history", obj=net2.probe) is False

    with net:
        configure_settings(dtype="float32")
    assert get_setting(net2, "dtype") == "float64"


def test_pickled_settings_do_not_need_nengo_dl():
    with nengo.Network() as net:
        configure_settings(trainable=False, dtype="float64", keep_history=True)
    assert b"nengo_dl" not in pickle.dumps(net)
