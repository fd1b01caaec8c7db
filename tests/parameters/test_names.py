"""Names of objects in files of parameters."""

import nengo
import numpy as np

from nengo_dl.parameters.names import object_names


def test_names():
    with nengo.Network() as net:
        a = nengo.Ensemble(10, 2, label="a")
        b = nengo.Ensemble(10, 2)
        twins = [nengo.Ensemble(10, 2, label="twin") for _ in range(2)]
        with nengo.Network(label="in/ner 'net'") as inner:
            c = nengo.Node(size_in=2)
        conns = {
            "ensembles['a'] -> ensembles[1]": nengo.Connection(a, b),
            "ensembles['a'] -> ensembles[1] [1]": nengo.Connection(a, b),
            "ensembles['a'] -> ensembles[1] ['c']": nengo.Connection(a, b, label="c"),
            "ensembles['a'][0:1] -> ensembles[1][1]": nengo.Connection(a[0], b[[1]]),
            "ensembles['a'].neurons[::-1] -> ensembles[1][:0:-1]": nengo.Connection(
                a.neurons[::-1], b[:0:-1], transform=np.ones((1, 10))
            ),
        }
        with inner:
            learned = nengo.Connection(a, c, learning_rule_type=nengo.PES())
            error = nengo.Connection(b, learned.learning_rule)
        long = nengo.Connection(a.neurons[list(range(9))], b.neurons[list(range(9))])
    network = "networks['in%2Fner %27net%27']"
    conns[f"ensembles['a'] -> {network}.nodes[0]"] = learned
    conns[f"ensembles[1] -> (ensembles['a'] -> {network}.nodes[0]).learning_rule"] = (
        error
    )
    expected = {
        "ensembles['a']": a,
        "ensembles[1]": b,
        "ensembles[2]": twins[0],
        "ensembles[3]": twins[1],
        network: inner,
        f"{network}.nodes[0]": c,
        **conns,
    }
    names = object_names(net)
    digest = names.pop(long)
    assert digest.startswith("ensembles['a'].neurons[9 indices ")
    assert {name: obj for obj, name in names.items()} == expected

    positions = object_names(net, use_labels=False)
    assert positions[a] == "ensembles[0]"
    assert positions[c] == "networks[0].nodes[0]"
    assert positions[learned] == "ensembles[0] -> networks[0].nodes[0]"
    assert len(set(positions.values())) == len(positions)


def test_networks_that_are_listed_twice():
    with nengo.Network() as net:
        with nengo.Network() as inner:
            ens = nengo.Ensemble(10, 1)
        net.networks.append(inner)
        with nengo.Network() as other:
            other.networks.append(inner)
    assert object_names(net) == {
        inner: "networks[0]",
        ens: "networks[0].ensembles[0]",
        other: "networks[2]",
    }
