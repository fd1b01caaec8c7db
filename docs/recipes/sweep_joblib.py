"""Run experiments with joblib: ``python docs/recipes/sweep_joblib.py``."""

import argparse
from itertools import product

from experiment import run, write_table
from joblib import Parallel, delayed

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="one for each core")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--neurons", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--results", default="results.csv")
    args = parser.parse_args()

    # joblib starts new processes, and does not fork
    parallel = Parallel(n_jobs=args.processes)
    settings = product(range(args.seeds), args.neurons)
    write_table(args.results, parallel(delayed(run)(seed, n) for seed, n in settings))
