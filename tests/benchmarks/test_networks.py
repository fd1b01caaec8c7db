import nengo
import pytest

from nengo_dl import benchmarks
from nengo_dl.benchmarks.networks import NETWORKS
from nengo_dl.benchmarks.tables import SMALL

RELU = nengo.RectifiedLinear()


@pytest.mark.parametrize(
    "build, neurons",
    [
        (benchmarks.cconv, 5),
        (benchmarks.integrator, 10),
        (benchmarks.pes, 160),
        (benchmarks.basal_ganglia, 10),
    ],
)
def test_networks(build, neurons):
    net = build(16, 10, RELU)

    inputs = [vars(net)[k] for k in ("inp", "inp_a", "inp_b") if k in vars(net)]
    assert inputs
    assert all(node.size_out == 16 for node in inputs)
    assert net.p.size_in == 16
    assert net.seed == 0
    assert all(ens.neuron_type is RELU for ens in net.all_ensembles)
    assert all(ens.n_neurons == neurons for ens in net.all_ensembles)


@pytest.mark.parametrize("n_ensembles, connections", [(20, 3), (5, 6)])
def test_random_network(n_ensembles, connections):
    net = benchmarks.random_network(8, 10, RELU, n_ensembles, connections)

    assert net.inp.size_out == net.out.size_in == net.p.size_in == 8
    assert len(net.all_ensembles) == n_ensembles
    for ens in net.all_ensembles:
        assert ens.neuron_type is RELU
        assert ens.n_neurons == 80
        posts = [conn.post for conn in net.all_connections if conn.pre is ens]
        assert len(posts) == connections + 1
        assert net.out in posts
        assert net.inp in [conn.pre for conn in net.all_connections if conn.post is ens]


def test_random_network_seed():
    def posts(seed):
        net = benchmarks.random_network(2, 5, RELU, 10, 3, seed=seed)
        ensembles = {ens: i for i, ens in enumerate(net.all_ensembles)}
        return [ensembles.get(conn.post) for conn in net.all_connections]

    assert posts(1) == posts(1)
    assert posts(1) != posts(2)


def test_networks_that_call_python():
    net = NETWORKS["functions_5"][1]()
    functions = [node for node in net.nodes if callable(node.output) and node.size_in]
    assert len(functions) == 5
    plots = [node for node in NETWORKS["plots"][1]().nodes if node.size_in]
    assert [node.size_out for node in plots] == [0, 0, 0]
    for node in plots:
        assert node.output(0.1, [2.0]) is None


def test_chain():
    sizes = [ens.n_neurons for ens in NETWORKS["chain"][1]().ensembles]
    assert len(sizes) == len(set(sizes)) == 60


def test_sizes_of_the_tables():
    sizes = {name: NETWORKS[name][1]().n_neurons for name in SMALL}
    assert sizes == {
        "channel": 200,
        "integrator": 2048,
        "cconv": 8448,
        "pes": 4096,
        "action_selection": 17600,
        "full_weights": 4000,
    }
