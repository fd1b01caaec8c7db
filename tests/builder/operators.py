"""An operator without builder."""

import nengo


class Op(nengo.builder.operator.Operator):
    """An operator that Nengo cannot run."""

    def __init__(self):
        super().__init__()
        self.sets = self.incs = self.reads = self.updates = []

    def make_step(self, signals, dt, rng):
        raise RuntimeError("there is no step")
