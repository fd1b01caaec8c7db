"""Run ``python -m nengo_dl.benchmarks``; see `command_line`."""

from nengo_dl.benchmarks.command_line import main

if __name__ == "__main__":
    main()
