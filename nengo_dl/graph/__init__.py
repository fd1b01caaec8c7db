"""
From a built Nengo model to a `Program`: passes over operators, without any tensor.

`nengo_dl.graph.program` shows them all, in order. What others need is handed on by
`nengo_dl.graph_optimizer`.
"""
