"""States of recurrent layers."""

import keras
import numpy as np

from nengo_dl.tensor_node.layer_states import layer_states, reset_layer_states


def test_states_of_layers():
    """Those of stateful layers, wherever they are, each once."""
    inner = keras.layers.GRU(3, stateful=True)
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(2, 4, 1)),
            keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True)),
            keras.layers.LSTM(3, return_sequences=True, stateful=True),
            inner,
        ]
    )
    model(np.ones((2, 4, 1)))
    states = layer_states([model, inner])
    assert [tuple(state.shape) for state in states] == [(2, 3)] * 3
    assert all(np.all(state.numpy() != 0) for state in states)

    reset_layer_states([model], items=[1])
    assert all(np.all(state.numpy()[1] == 0) for state in states)
    assert all(np.all(state.numpy()[0] != 0) for state in states)
    reset_layer_states([inner])
    assert [bool(np.any(state.numpy())) for state in states] == [True, True, False]


def test_layers_without_states():
    layers = [keras.layers.Dense(1), keras.layers.LSTM(1, stateful=True)]
    assert layer_states(layers) == []
    reset_layer_states(layers)
