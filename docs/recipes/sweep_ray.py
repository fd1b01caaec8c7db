"""Run experiments with Ray: ``python docs/recipes/sweep_ray.py``."""

import argparse
from itertools import product

import ray
from experiment import run, write_table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="one for each core")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--neurons", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--results", default="results.csv")
    args = parser.parse_args()

    # on a cluster, which has to be told where experiment.py is:
    # ray.init(address="auto", runtime_env={"working_dir": "docs/recipes"})
    ray.init(num_cpus=args.processes, include_dashboard=False)
    remote = ray.remote(num_cpus=1)(run)
    settings = product(range(args.seeds), args.neurons)
    write_table(args.results, ray.get([remote.remote(seed, n) for seed, n in settings]))
