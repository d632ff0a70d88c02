"""Processes that die, and machines that work together, from the command line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
SMALL = {
    "data": {"size": 300},
    "network": {"hidden": 8, "num_layers": 1},
    "schedule": {"timesteps": 5},
    "training": {"batch_size": 60, "warmup_steps": 0, "precision": "float32"},
}


def train(out: Path, epochs: int) -> list[str]:
    config = out.parent / "small.json"
    config.write_text(json.dumps(SMALL))
    options = ["--config", config, "--epochs", epochs, "--out", out, "--no-evaluate"]
    return ["-m", "denoising_diffusion", "train", "spiral", *map(str, options)]


def started(*command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def workers(agent: int) -> list[int]:
    """The processes that an agent of torchrun has started, by their rank."""
    found: dict[int, int] = {}
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    for child in children:
        entries = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        rank = [int(e[5:]) for e in entries if e.startswith(b"RANK=")]
        if rank:
            found[rank[0]] = int(child)
    return [found[rank] for rank in sorted(found)]


EPOCHS = 60
GROUP = (*TORCHRUN, "--standalone", "--nproc-per-node=2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    ended(started(*GROUP, *train(out, EPOCHS)))
    return out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_costs_one_checkpoint_interval_and_no_bit(undisturbed, tmp_path, victim):
    killed = tmp_path / "run"
    process = started(*GROUP, "--max-restarts=1", *train(killed, EPOCHS))
    history = killed / "history.jsonl"
    deadline = time.monotonic() + 60
    while not history.exists() or len(history.read_text().splitlines()) < 8:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(workers(process.pid)[victim], signal.SIGKILL)
    seen = len(history.read_text().splitlines())
    said = ended(process)
    # A checkpoint is written at the end of every epoch, which has five steps here.
    told = [line for line in said.splitlines() if " parameters, " in line and " of 300," in line]
    starts = [int(line.split(" step ")[1].split()[0]) for line in told]
    assert len(starts) == 2 and starts[0] == 0
    assert 5 * (seen - 1) <= starts[1] < 5 * EPOCHS
    assert history.read_bytes() == (undisturbed / "history.jsonl").read_bytes()
    one, other = weights(undisturbed), weights(killed)
    assert one.keys() == other.keys()
    assert all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.mark.slow
def test_two_machines_train_as_one_process_does(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ended(started(sys.executable, *train(tmp_path / "a" / "run", 8)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=two"]
    agent = [*TORCHRUN, "--nnodes=2", "--nproc-per-node=1", "--local-addr=127.0.0.1", *meeting]
    command = train(tmp_path / "b" / "run", 8)
    machines = [started(*agent, *command) for _ in range(2)]
    for machine in machines:
        ended(machine)
    one, other = weights(tmp_path / "a" / "run"), weights(tmp_path / "b" / "run")
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-5, atol=1e-6)
