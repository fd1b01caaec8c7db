"""Inputs, targets, and weights in all their forms."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

pytestmark = pytest.mark.training


@pytest.fixture
def net():
    with nengo.Network() as net:
        inp = nengo.Node([1.0])
        nengo.Probe(inp)
    return net


def test_validation_data_from_a_generator(net, Simulator):
    x, y = np.ones((2, 1, 1)), np.zeros((2, 1, 1))

    def batches():
        yield [[x, np.ones((2, 1), np.int32)], [y]]

    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        history = sim.fit(
            x, y, validation_data=batches(), validation_steps=1, verbose=0
        )
        assert history.history["val_loss"] == [1]


def test_number_of_steps_is_no_probe(net, Simulator):
    with Simulator(net) as sim:
        with pytest.raises(ValidationError, match="'n_steps' is not a valid probe"):
            sim.compile(loss={"n_steps": "mse"})


@pytest.mark.parametrize(
    "n_steps, message",
    [
        (np.array(4), "wrong shape"),
        (np.full((1, 1), 4), "wrong shape"),
        (np.full((3, 1), 7), r"\(7\) does not match"),
        (np.full((3, 1), 4), None),
    ],
)
def test_number_of_steps_along_with_inputs(n_steps, message, net, Simulator):
    (node,) = net.all_nodes
    with Simulator(net, minibatch_size=3, unroll_simulation=1) as sim:
        data = {node: np.ones((3, 4, 1)), "n_steps": n_steps}
        if message is None:
            assert sim.predict(data)[net.all_probes[0]].shape == (3, 4, 1)
            return
        with pytest.raises(ValidationError, match=message):
            sim.predict(data)
        if np.ndim(n_steps) == 0:
            with pytest.raises(ValidationError, match=message):
                sim.predict({"n_steps": n_steps})
