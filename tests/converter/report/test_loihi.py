import nengo
import numpy as np

import nengo_dl
from nengo_dl.converter.report.loihi import loihi_issues


def test_nothing_to_say():
    with nengo.Network() as net:
        a = nengo.Ensemble(10, 1, neuron_type=nengo.LIF())
        b = nengo.Ensemble(
            6,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(),
            gain=np.full(6, 2.0),
            bias=np.zeros(6),
        )
        nengo.Connection(a, b.neurons, transform=np.ones((6, 1)))
    assert loihi_issues(net) == []


def test_each_issue():
    with nengo.Network() as net:
        nengo_dl.TensorNode(lambda x: x, shape_in=(3,), pass_time=False, label="func")
        rates = nengo.Ensemble(4, 1, neuron_type=nengo.RectifiedLinear(), label="rates")
        nengo.Ensemble(4, 1, neuron_type=nengo_dl.IntegrateAndFire(), label="signed")
        image = nengo.Node(np.zeros(16))
        uneven = nengo.Ensemble(
            16,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(),
            gain=np.arange(1.0, 17),
            bias=np.zeros(16),
            label="uneven",
        )
        kernel = np.ones((1, 1, 1, 1))
        conv = nengo.Convolution(
            1, (4, 4, 1), kernel_size=(1, 1), strides=(1, 1), init=kernel
        )
        nengo.Connection(image, uneven.neurons, transform=conv)
        back = nengo.ConvolutionTranspose(
            1, (2, 2, 1), kernel_size=(1, 1), strides=(1, 1), init=kernel
        )
        nengo.Connection(rates.neurons, nengo.Node(size_in=4), transform=back)
    tensor_nodes, signed, rate, gains, transposed = loihi_issues(net)
    assert "TensorNodes run in NengoDL only: func" in tensor_nodes
    assert "IntegrateAndFire in signed" in signed and "positive" in signed
    assert "RectifiedLinear in rates" in rate
    assert "different gains" in gains and "uneven" in gains
    assert "transposed and grouped" in transposed
