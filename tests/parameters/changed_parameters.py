"""Parameters as training leaves them, and the same network in Nengo."""

import nengo
import numpy as np

from nengo_dl.builder import nengo_precision


def change_parameters(sim, seed=0):
    """Change all parameters a bit, as training does."""
    rng = np.random.RandomState(seed)
    arrays = sim.tensor_graph.values.get_arrays()
    for key in sim.tensor_graph.base_params:
        if sim.tensor_graph.program.layout.arrays[key].trainable:
            noise = rng.uniform(0.9, 1.1, size=arrays[key].shape)
            arrays[key] = arrays[key] * noise.astype(arrays[key].dtype)
    sim.tensor_graph.values.set_arrays(arrays)


def run_in_nengo(net, n_steps, dtype="float64"):
    with nengo_precision(dtype), nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(n_steps)
    return ref.data
