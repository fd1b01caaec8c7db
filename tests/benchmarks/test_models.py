from argparse import Namespace

import keras
import numpy as np
import pytest

import nengo_dl
from nengo_dl.benchmarks.models import MODELS
from nengo_dl.benchmarks.training import keras_trainer, trainer

BY_HAND = [name for name, model in MODELS.items() if model.by_hand is not None]


@pytest.mark.training
@pytest.mark.parametrize("name", BY_HAND)
def test_models_by_hand_compute_the_same(name):
    model = MODELS[name]
    by_hand, net = model.by_hand(), model.network()
    x = np.random.RandomState(1).uniform(size=(2, 1, net.inp.size_out))
    with nengo_dl.Simulator(net, minibatch_size=2, progress_bar=False) as sim:
        ours = sim.predict({net.inp: x})[net.p]
        weights = sim.keras_model.trainable_weights

    theirs = keras.ops.convert_to_numpy(by_hand(x.reshape(2, *by_hand.input_shape[1:])))
    assert np.abs(theirs).max() > 0.1
    assert np.allclose(ours[:, 0], theirs, atol=1e-5)
    sizes = [
        sum(np.prod(w.shape) for w in each)
        for each in (weights, by_hand.trainable_weights)
    ]
    assert sizes[0] == sizes[1]


def test_spiking_models_exist_in_no_keras():
    with pytest.raises(ValueError, match="Only models of one step exist in Keras"):
        keras_trainer(MODELS["recurrent"], keras.optimizers.SGD())


@pytest.mark.training
def test_spiking_models_learn():
    """With gradients of rates in hertz, learning rates are small."""
    args = Namespace(backend="nengo_dl", device="/cpu:0", unroll=1)
    with trainer(args, MODELS["recurrent"]) as fit:
        first, second = fit(2).history["loss"]
    assert second < first < 1
