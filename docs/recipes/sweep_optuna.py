"""
Search for good parameters with Optuna: ``python docs/recipes/sweep_optuna.py``.

The processes share a study, which is in a file. Running the script again, or on another
machine that has the same file, adds to it.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import optuna
from experiment import run, write_table
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def objective(trial):
    n_neurons = trial.suggest_int("n_neurons", 10, 50)
    learning_rate = trial.suggest_float("learning_rate", 1e-6, 1e-3, log=True)
    return run(seed=0, n_neurons=n_neurons, learning_rate=learning_rate)["error"]


def open_study(path):
    storage = JournalStorage(JournalFileBackend(path))
    return optuna.create_study(
        study_name="squares", storage=storage, load_if_exists=True
    )


def work(path, n_trials):
    open_study(path).optimize(objective, n_trials=n_trials)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="one for each core")
    parser.add_argument("--trials", type=int, default=5, help="of each process")
    parser.add_argument("--study", default="study.log")
    parser.add_argument("--results", default="results.csv")
    args = parser.parse_args()

    n = args.processes
    study = open_study(args.study)
    # a fork of a process that has used TensorFlow may hang
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        # what a process raises is raised here
        list(pool.map(work, [args.study] * n, [args.trials] * n))
    write_table(args.results, [{**t.params, "error": t.value} for t in study.trials])
