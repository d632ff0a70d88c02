"""Damages run folders at random and gives them to the commands: what is refused, and what is not.

    python tests/fuzz_runs.py --mutations 500 --seed 0 --jobs 2

Every command must either do what it does to the untouched run, bit for bit, or refuse: exit code 2
(1 where the machine is at fault), one line, no traceback, within ten seconds of the processor and
six times as many of the clock, which others may keep busy, in bounded memory.
Every mutation runs in a process forked from one that has imported everything; --real of the
commands run as processes of their own too. What fails is printed, and the exit code is 1.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from damage import damage
from test_idx import small_set

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2], "middle_blocks": 1},
    "schedule": {"timesteps": 4},
    "training": {"epochs": 1, "batch_size": 32, "precision": "float32", "warmup_steps": 0},
    "sampling": {"num": 12, "steps": 2},
}
COMMANDS = {
    "info": ["info", "run"],
    "sample": ["sample", "run", "--num", "6", "--out", "out/s.npz"],
    "evaluate": ["evaluate", "run", "--json"],
    "resume": ["resume", "run", "--epochs", "2", "--no-evaluate"],
}
SECONDS, CLOCK, STARTING, MEMORY = 10, 6, 10, 2**30
"""What a command may take: seconds of the processor, times as many of the clock, seconds more to
start; of memory, beyond what the imports took."""


class Answer(NamedTuple):
    """What a command did: its exit code, what it said, and the bits that it left."""

    code: int | str
    out: str
    error: str
    bits: str
    seconds: float = 0.0


def make(folder: Path) -> None:
    """A tiny finished run in folder/run, with everything that a run leaves."""
    (folder / "small.json").write_text(json.dumps(SMALL))
    (folder / "out").mkdir()
    small_set(folder / "mine", train=40, test=16, side=8)
    # Whose likelihood can be asked for.
    options = ["--config", "small.json", "--data", "mine", "--data.clusters=0", "--out", "run"]
    answer = called(["train", "numbers", *options], folder)
    assert answer.code == 0, answer


def called(arguments: list[str], folder: Path) -> Answer:
    """A command in this process, in this folder."""
    from denoising_diffusion.cli import main

    out, error, begun = io.StringIO(), io.StringIO(), time.process_time()
    os.chdir(folder)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException as wrong:
            code = f"{type(wrong).__name__}: {wrong}"[:300]
    seconds = time.process_time() - begun
    return Answer(code, out.getvalue(), error.getvalue(), _bits(arguments, folder), seconds)


def _real(arguments: list[str], folder: Path) -> Answer:
    """The same as a command of its own."""
    command = [sys.executable, "-m", "denoising_diffusion", *arguments]
    most = CLOCK * SECONDS
    # As many threads as those that it is compared with: sums in another order are other bits.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=most, env=environment
        )
    except subprocess.TimeoutExpired:
        return Answer("hangs", "", "", "", most)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - STARTING
    return Answer(done.returncode, done.stdout, done.stderr, _bits(arguments, folder), seconds)


def _bits(arguments: list[str], folder: Path) -> str:
    """A digest of what the command makes."""
    made = {"sample": ["out/s.npz"], "resume": ["run/model.safetensors"]}.get(arguments[0], [])
    with contextlib.suppress(OSError):
        return hashlib.sha256(b"".join((folder / f).read_bytes() for f in made)).hexdigest()
    return "nothing"


def wrong(answer: Answer, right: Answer, file: str, name: str) -> str | None:
    """What is wrong with an answer to a damaged run, or None."""
    lines = answer.error.strip().splitlines()
    if "Traceback" in answer.error or isinstance(answer.code, str):
        return f"traceback: {answer.code} {lines[-1] if lines else ''}"
    if answer.seconds > SECONDS:
        return f"took {answer.seconds:.0f} s"
    if answer.code in (1, 2):
        said = [line for line in lines if not line.startswith("ddpm: warning: ")]
        if name != "resume" and len(said) != 1:
            return f"refused in {len(said)} lines: {said}"
        return None if said and said[-1].startswith("ddpm: error: ") else f"refused by {said}"
    if answer.code != 0:
        return f"exit code {answer.code}"
    if name in ("sample", "resume", "evaluate") and not _may_differ(file, name):
        same = answer.bits == right.bits and (name == "resume" or answer.out == right.out)
        return None if same else "other bits"
    return None


def _may_differ(file: str, name: str) -> bool:
    """Whether another valid content of the file rightly leads to another result."""
    return file == "config.json"


def _trial(whole: Path, seed: int, name: str, right: Answer, real: bool) -> Iterator[str]:
    """Damage a copy of the run by this seed, give it to a command, and yield what goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=whole.parent))
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    file, done = damage(folder / "run", random.Random(seed))
    yield f"{seed} {file}: {done}: {name}: "
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(2 * CLOCK * SECONDS if real else CLOCK * SECONDS)
    answer = (_real if real else called)(COMMANDS[name], folder)
    signal.alarm(0)
    found = wrong(answer, right, file, name)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if found is None and grown > MEMORY:
        found = f"took {grown >> 20} MiB"
    if (folder / "unpickled").exists():
        found = "unpickled"
    os.chdir(whole)
    shutil.rmtree(folder, ignore_errors=True)
    yield found or "right"


def fuzz(seeds: list[int], real: int, jobs: int, say=lambda _: None) -> list[str]:
    """What fails, of these mutations; `real` of the commands as processes of their own too."""
    import denoising_diffusion.run.train  # noqa: F401  imported once, before all forks

    with tempfile.TemporaryDirectory(prefix="fuzz-") as parent:
        folder = Path(parent) / "whole"
        folder.mkdir()
        make(folder)
        copy = Path(shutil.copytree(folder, Path(parent) / "right"))
        right = {name: called(arguments, copy) for name, arguments in COMMANDS.items()}
        assert all(a.code == 0 for a in right.values()), right
        todo = [(s, n, True) for s in seeds for n in COMMANDS][:real]
        todo += [(s, n, False) for s in seeds for n in COMMANDS]
        failures: list[str] = []
        for said in _all_said(folder, todo, right, jobs):
            if not said.endswith("right"):
                failures.append(said)
                say(said)
        os.chdir("/")
        return failures


def _all_said(
    folder: Path, todo: list[tuple[int, str, bool]], right: dict[str, Answer], jobs: int
) -> Iterator[str]:
    waiting, running = todo[::-1], {}
    while waiting or running:
        while waiting and len(running) < jobs:
            seed, name, real = waiting.pop()
            read, process = _forked(folder, seed, name, right[name], real)
            running[read] = (process, bytearray())
        for read in select.select(list(running), [], [])[0]:
            process, said = running[read]
            text = os.read(read, 2**16)
            said += text
            if not text:
                _, status = os.waitpid(process, 0)
                os.close(read)
                del running[read]
                died = {0: "", signal.SIGALRM: "hangs"}.get(status, f"died with {status}")
                yield said.decode() + died


def _forked(folder: Path, seed: int, name: str, right: Answer, real: bool) -> tuple[int, int]:
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return read, process
    os.close(read)
    resource.setrlimit(resource.RLIMIT_DATA, (12 * MEMORY, 12 * MEMORY))
    code = 1
    with contextlib.suppress(BaseException):
        for text in _trial(folder, seed, name, right, real):
            os.write(write, " ".join(text.split(" ")).replace("\n", " ").encode(errors="replace"))
        code = 0
    os._exit(code)


def main() -> None:
    """Fuzz, and print what fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=int, default=40, help="also as commands of their own")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fuzz-cache-")
    seeds = [options.seed * 1_000_000 + i for i in range(options.mutations)]
    begun = time.monotonic()
    say = functools.partial(print, flush=True)
    failures = fuzz(seeds, options.real, options.jobs, say)
    runs = len(seeds) * len(COMMANDS) + options.real
    seconds = time.monotonic() - begun
    print(f"{runs} commands on damaged runs in {seconds:.0f} s, {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
