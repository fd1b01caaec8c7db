"""Training on several devices, and by several processes, is training on one device."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("distributed_training.py")

pytestmark = pytest.mark.training


def start(how, **environment):
    path = os.pathsep.join([str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), how],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


IS_POSSIBLE = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 10)


def result_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def reference():
    result = result_of(start("alone"))
    assert result["losses"][-1] < 0.9 * result["losses"][0]
    return result


def assert_same(process, reference):
    if not IS_POSSIBLE:
        errors = process.communicate(timeout=300)[1]
        assert "Training on several devices needs Keras 3.10" in errors
        return
    result = result_of(process)
    for name, value in reference.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-5, err_msg=name)


def test_two_devices(reference):
    assert_same(start("devices"), reference)


def test_two_workers(reference):
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = [
        start(
            "workers",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": workers},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in range(2)
    ]
    for process in processes:
        assert_same(process, reference)
