from nengo_dl.efficiency.tables import Column, Table

TABLE = Table(
    "Layers <2>",
    [Column("name", "layer"), Column("rate", "Hz", ",.1f"), Column("n", "n", ",")],
    [{"name": "a & b", "rate": 1234.56, "n": 1000, "other": 1}, {"name": "c", "n": 2}],
)


def test_text():
    assert TABLE.text().splitlines() == [
        "Layers <2>",
        "layer       Hz      n",
        "-----  -------  -----",
        "a & b  1,234.6  1,000",
        "c            –      2",
    ]


def test_html():
    assert TABLE.html().splitlines() == [
        "<p><b>Layers &lt;2&gt;</b></p>",
        "<table>",
        "<tr><th>layer</th><th>Hz</th><th>n</th></tr>",
        "<tr><td>a &amp; b</td><td>1,234.6</td><td>1,000</td></tr>",
        "<tr><td>c</td><td>–</td><td>2</td></tr>",
        "</table>",
    ]


def test_no_rows():
    table = Table("Nothing", [Column("a", "a"), Column("b", "bc")], [])
    assert table.text() == "Nothing\na  bc\n-  --"
