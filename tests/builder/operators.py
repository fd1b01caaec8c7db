"""An operator without builder."""

import nengo


class Op(nengo.builder.operator.Operator):
    """An operator that nobody can run."""

    def __init__(self):
        super().__init__()
        self.sets = self.incs = self.reads = self.updates = []
