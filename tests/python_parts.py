"""Parts of networks that run in Python, and draw random numbers."""

import nengo
import numpy as np


class Walk(nengo.Process):
    """Random, also in `make_step`; with and without input."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"position": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        slope = rng.uniform()

        def step(t, x=0):
            state["position"][...] += slope + rng.uniform(size=shape_out) + np.sum(x)
            return state["position"]

        return step


class Noisy(nengo.StochasticSpiking):
    """Neurons for which there is no TensorFlow version."""

    def step(self, *args, **kwargs):
        super().step(*args, **kwargs)
