import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.layers import QCFS

LEVELS = 4


@pytest.fixture(scope="module")
def model():
    inp = keras.Input((6,))
    return keras.Model(inp, QCFS(LEVELS, initial_theta=2.0)(inp))


def test_same_over_all_steps(model):
    """The mean output over as many steps as there are levels."""
    converter = nengo_dl.Converter(model, allow_fallback=False, inference_only=True)
    x = np.array([-1, 0.1, 0.7, 1.3, 1.9, 7], np.float32)
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    node.output = x
    with nengo.Simulator(converter.net, progress_bar=False) as sim:
        sim.run_steps(LEVELS)
    output = sim.data[probe]
    np.testing.assert_allclose(output.mean(axis=0), model(x[None])[0], atol=1e-6)
    assert set(np.unique(output.round(6))) == {0, 2}


def test_training(model):
    """The threshold of neurons is not trained."""
    with pytest.raises(TypeError, match="its threshold is trained"):
        nengo_dl.Converter(model, allow_fallback=False)


def test_thresholds_are_not_calibrated(model):
    converter = nengo_dl.Converter(model, inference_only=True)
    with pytest.raises(nengo.exceptions.ValidationError, match="nothing to calibrate"):
        converter.calibrate(np.zeros((20, 6)))
