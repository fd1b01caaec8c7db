import pytest
import tensorflow as tf

from nengo_dl import utils


def test_tf_gpu_installed():
    assert utils.tf_gpu_installed == bool(tf.config.list_physical_devices("GPU"))
    with pytest.raises(AttributeError, match="nothing"):
        utils.nothing  # noqa: B018
