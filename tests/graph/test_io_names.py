import nengo

from nengo_dl.graph.io_names import io_names


def labelled(*labels):
    with nengo.Network(add_to_container=False):
        return [nengo.Node([0], label=label) for label in labels]


def names(*labels):
    return list(io_names(labelled(*labels)).values())


def test_names():
    assert names(None, None, "aa", "aa", "Aa", "aA", None) == [
        "node",
        "node_1",
        "aa",
        "aa_1",
        "Aa_2",
        "aA_3",
        "node_2",
    ]
    with nengo.Network():
        node = nengo.Node([0], label="probe")
        assert list(io_names([node, nengo.Probe(node)]).values()) == [
            "probe",
            "probe_1",
        ]


def test_names_are_sanitized():
    assert names("a b:c", "a?!b", "a/b.c-d") == ["a_b_c", "ab", "a/b.c-d"]
    assert names("", "???", "\u200b") == ["node", "node_1", "node_2"]
    assert names("ünï/çødé", "日本", "🎉:x", "日\u3000本", "日本") == [
        "ünï/çødé",
        "日本",
        "🎉_x",
        "日_本",
        "日本_1",
    ]


def test_names_are_unique_in_any_case():
    assert names("a_1", "a", "a", "a") == ["a_1", "a", "a_2", "a_3"]
    assert names("a", "a", "a_1") == ["a", "a_1", "a_1_1"]


def test_reserved_names():
    assert names("n_steps", "Steps_Run", "tensorgraph") == [
        "n_steps_1",
        "Steps_Run_1",
        "tensorgraph_1",
    ]
