"""Do the tests catch mistakes? Draws small ones by a seed, one at a time, and runs the laws.

    python tests/mutation.py --mutants 400 --jobs 2

prints every mistake that no test noticed, and the share of those that one did. Each runs in a
process of its own, forked after the slow imports, on a copy of the package; what stands in the
working tree is not touched. `mutation.toml` says which tests cover which file, and why a survivor
is no mistake at all. With --log, what was tried already is kept, so a round can be cut in slices.
"""

import argparse
import atexit
import contextlib
import functools
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

from mutants import Mutant, mutants

ROOT = Path(__file__).parents[1]
PACKAGE = "denoising_diffusion"
SOURCE = ROOT / "src" / PACKAGE
TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
MEMORY = 6 * 2**30


@functools.cache
def source() -> Path:
    """The package as it stood when the round began, for its mutants are places in files."""
    folder = Path(tempfile.mkdtemp(prefix="unchanged-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(shutil.copytree(SOURCE, folder / PACKAGE))


class Outcome(NamedTuple):
    """How a run of the tests ended: the test that failed, or None; and its seconds."""

    killer: str | None
    seconds: float


def main() -> None:
    """Draw, try, and print."""
    options = _options()
    drawn = _drawn(options)
    _import_slow_things()
    log = _Log(options.log)
    todo = [m for m in drawn if options.again or log.key(m) not in log.known]
    todo = todo[: options.most]
    for file in sorted({m.file for m in todo}) if options.baseline else ():
        outcome = _tried(None, file, options.timeout)
        print(f"{file}: {outcome.seconds:.1f} s without a mistake", flush=True)
        if outcome.killer is not None:
            sys.exit(f"the tests of {file} fail as they stand: {outcome.killer}")
    for mutant, outcome in _all_tried(todo, options.jobs, options.timeout):
        log.add(mutant, outcome)
        if outcome.killer is None:
            print(f"\n{mutant.file}: {mutant.operator}\n{_diff(mutant)}", flush=True)
    _report([(m, log.known[log.key(m)]) for m in drawn if log.key(m) in log.known], len(drawn))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=400, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=0, help="which are drawn")
    parser.add_argument("--jobs", type=int, default=1, help="how many run at a time")
    parser.add_argument("--file", action="append", help="of this file only; may be repeated")
    parser.add_argument("--most", type=int, help="how many to try in this call")
    parser.add_argument("--timeout", type=int, default=60, help="seconds of processor time")
    parser.add_argument("--log", type=Path, help="a file of what was tried, read and extended")
    parser.add_argument("--again", action="store_true", help="also those that the log has")
    parser.add_argument("--baseline", action="store_true", help="run the tests unchanged first")
    return parser.parse_args()


def _drawn(options: argparse.Namespace) -> list[Mutant]:
    files = options.file or sorted(TABLE["tests"])
    every = [m for file in files for m in mutants(file, (source() / file).read_bytes())]
    count = min(options.mutants, len(every))
    print(
        f"{count} of {len(every)} mistakes in {len(files)} files, seed {options.seed}", flush=True
    )
    return random.Random(options.seed).sample(every, count)


def _import_slow_things() -> None:
    """What every process needs and no mistake touches, imported once before it forks."""
    import matplotlib.pyplot  # noqa: F401
    import pytest  # noqa: F401
    import scipy.linalg  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import torch._dynamo
    import torch.distributed
    import tqdm.auto  # noqa: F401

    torch.set_num_threads(1)
    assert PACKAGE not in sys.modules


class _Log:
    """What was tried, by the text of the change, in a file that grows by a line each."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Outcome] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                key, *outcome = json.loads(line)
                self.known[key] = Outcome(*outcome)

    def key(self, mutant: Mutant) -> str:
        return f"{mutant.file}:{mutant.start}:{mutant.stop}:{mutant.text}"

    def add(self, mutant: Mutant, outcome: Outcome) -> None:
        self.known[self.key(mutant)] = outcome
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps([self.key(mutant), *outcome]) + "\n")


def _all_tried(todo: list[Mutant], jobs: int, timeout: int):
    """Pairs of mutant and outcome, as they come; `jobs` processes at a time."""
    waiting, running = list(todo[::-1]), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[mutant] = _Trial(mutant, mutant.file, timeout)
        select.select([t.pipe for t in running.values()], [], [], 1.0)
        for mutant, trial in list(running.items()):
            outcome = trial.outcome()
            if outcome is not None:
                del running[mutant]
                yield mutant, outcome


def _tried(mutant: Mutant | None, file: str, timeout: int) -> Outcome:
    trial = _Trial(mutant, file, timeout)
    while (outcome := trial.outcome()) is None:
        select.select([trial.pipe], [], [], 1.0)
    return outcome


class _Trial:
    """A process of its own that runs the tests of a file on a copy with one mistake."""

    def __init__(self, mutant: Mutant | None, file: str, timeout: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        self.begun, self.timeout = time.monotonic(), timeout
        shutil.copytree(source(), self.folder / "src" / PACKAGE)
        if mutant is not None:
            target = self.folder / "src" / PACKAGE / mutant.file
            target.write_bytes(mutant.applied(target.read_bytes()))
            for stale in (target.parent / "__pycache__").glob(f"{target.stem}.*"):
                stale.unlink()
        self.pipe, written = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            with contextlib.suppress(BaseException):
                os.close(self.pipe)
                os.write(written, _killer(self.folder, file, timeout).encode())
            os._exit(0)
        os.close(written)

    def outcome(self) -> Outcome | None:
        """None while it runs; a process that died, or that took too long, was killed."""
        late = time.monotonic() - self.begun > 4 * self.timeout
        if late:
            os.killpg(self.process, signal.SIGKILL)
        if not late and not select.select([self.pipe], [], [], 0)[0]:
            return None
        text = os.read(self.pipe, 10_000).decode()
        os.close(self.pipe)
        os.waitpid(self.process, 0)
        shutil.rmtree(self.folder, ignore_errors=True)
        killer = None if text == "passed" else text or "died or took too long"
        return Outcome(killer, round(time.monotonic() - self.begun, 2))


def _killer(folder: Path, file: str, timeout: int) -> str:
    """In the new process: "passed", or the first test that fails."""
    import pytest

    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (timeout, timeout))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(folder / "src")
    sys.path.insert(0, str(folder / "src"))
    sys.dont_write_bytecode = True
    first = _First()
    tests = [f"tests/{name}" for name in TABLE["tests"][file]]
    quiet = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"]
    code = pytest.main([*quiet, *(f"--deselect=tests/{t}" for t in TABLE["slow"]), *tests], [first])
    import denoising_diffusion

    assert Path(denoising_diffusion.__file__).is_relative_to(folder)
    return "passed" if code == 0 else first.failed or f"pytest ends with {code}"


class _First:
    """Keeps the name of the first test that fails, or of the file that cannot be read."""

    failed = ""

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report) -> None:
        self.pytest_runtest_logreport(report)


def _diff(mutant: Mutant) -> str:
    return mutant.diff((source() / mutant.file).read_bytes())


def _report(found: list[tuple[Mutant, Outcome]], drawn: int) -> None:
    survivors = [m for m, outcome in found if outcome.killer is None]
    reasons = {(e["file"], e["was"], e["became"]): e["why"] for e in TABLE["equivalent"]}
    known, open_ = [], []
    for m in survivors:
        why = reasons.get((m.file, *m.change((source() / m.file).read_bytes())))
        known.append((m, why)) if why else open_.append(m)
    if known:
        print("\nsurvivors that are no mistakes:")
    for m, why in known:
        print(f"\n{m.file}: {why}\n{_diff(m)}")
    print("\nsurvivors:" if open_ else "\nno other survivors")
    for m in open_:
        print(f"\n{m.file}: {m.operator}\n{_diff(m)}")
    killed = len(found) - len(survivors)
    rest = f"; {drawn - len(found)} not tried yet" if drawn > len(found) else ""
    print(
        f"\n{killed} of {len(found)} killed ({killed / max(1, len(found)):.1%}), {len(known)} "
        f"survivors change nothing that can be seen, {len(open_)} are open{rest}"
    )


if __name__ == "__main__":
    main()
