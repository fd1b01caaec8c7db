import pytest
from graph.literal_graphs import Op, signal
from nengo.builder.operator import Reset

from nengo_dl.graph.operators import Constant, ResetInc
from nengo_dl.graph_optimizer import remove_unmodified_resets

pytestmark = pytest.mark.usefixtures("builders")


def test_reset_becomes_constant():
    x = signal((3,))
    reset = Reset(x, value=2, tag="tag")
    other = Op(reads=[x[:1]])
    constant, same = remove_unmodified_resets([reset, other])
    assert isinstance(constant, Constant)
    assert (constant.dst, constant.value, constant.tag) == (x, 2, "tag")
    assert same is other
    assert x.initial_value.tolist() == [0, 0, 0]


@pytest.mark.parametrize("access", ("incs", "updates"))
@pytest.mark.parametrize("part", (slice(None), slice(1, 2)))
def test_modified_signals_are_left_alone(access, part):
    x = signal((3,))
    ops = [Reset(x, value=2), Op(**{access: [x[part]]})]
    assert remove_unmodified_resets(ops) == ops


@pytest.mark.parametrize("mark", (True, False))
def test_parameters_are_left_alone(mark):
    ops = [Reset(signal(trainable=mark))]
    assert remove_unmodified_resets(ops) == ops


def test_increments_are_left_alone():
    ops = [ResetInc(signal(), 2)]
    assert remove_unmodified_resets(ops) == ops


def test_other_parts_of_a_signal_do_not_matter():
    x = signal((4,))
    reset, other = Reset(x[:2], value=2), Op(incs=[x[2:]])
    constant, same = remove_unmodified_resets([reset, other])
    assert isinstance(constant, Constant) and constant.dst is reset.dst
    assert same is other
