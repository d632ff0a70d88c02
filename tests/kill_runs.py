"""Kill every command before each of its changes of the file system, and give it again.

    python tests/kill_runs.py                 # all: some minutes
    python tests/kill_runs.py --part 12       # of each command, one kill in twelve, drawn by --seed
    python tests/kill_runs.py --moments 100   # kills at random moments besides

What the command leaves in the end must be, bit for bit and file by file, what it leaves when nobody
disturbs it; recorded times apart. An audit hook counts the changes: files opened for writing,
renamed and removed, folders made and removed.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SMALL = {
    "data": {"size": 200},
    "network": {"hidden": 8, "num_layers": 1},
    "schedule": {"timesteps": 4},
    "training": {"epochs": 2, "batch_size": 100, "warmup_steps": 0, "averages": ["power-0.1"]},
    "sampling": {"num": 60},
}
PICTURES = {
    "network": {"model_channels": 8, "channel_multipliers": [1]},
    "schedule": {"timesteps": 4},
    "training": {"epochs": 1, "batch_size": 300, "precision": "float32", "warmup_steps": 0},
    "sampling": {"num": 30, "steps": 2},
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TRAIN = ("train", "spiral", "--config", "small.json", "--out", "run")
DIGITS = ("train", "digits", "--config", "pictures.json", "--out", "digits")


@dataclass(frozen=True)
class Case:
    """A command, and those that come before it, undisturbed."""

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    cold: bool = field(default=False)
    """Whether the cache is empty."""


CASES = {
    "train": Case(TRAIN),
    "resume with more epochs": Case(("resume", "run", "--epochs", "3"), (TRAIN,)),
    "train --overwrite": Case((*TRAIN, "--seed", "1", "--overwrite"), (TRAIN,)),
    "sample": Case(("sample", "run", "--num", "20"), (TRAIN,)),
    "sample .npz": Case(("sample", "run", "--num", "20", "--out", "a/s.npz"), (TRAIN,)),
    "sample --gif": Case(("sample", "run", "--num", "9", "--gif", "g.gif"), (TRAIN,)),
    "evaluate": Case(("evaluate", "run", "--num", "50"), (TRAIN,)),
    "train pictures": Case(DIGITS),
    "sample --strip": Case(("sample", "digits", "--strip", "forward"), (DIGITS,)),
    "sample FOLDER/": Case(("sample", "digits", "--num", "20", "--out", "a/b/"), (DIGITS,)),
    "the cache": Case(("evaluate", "digits", "--num", "40"), (DIGITS,), cold=True),
}


def give(command: tuple[str, ...], folder: Path, at: int = 0, after: float = 0.0) -> int:
    """Run the command in a process of its own; -9 if it was killed.

    Args:
        command: the arguments of ddpm.
        folder: where it works; the cache lies there too.
        at: kill it before this change, counted from 1.
        after: kill it after this many seconds.
    """
    child = os.fork()
    if child == 0:
        _work(command, folder, at)
    if after:
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(command: tuple[str, ...], folder: Path, at: int) -> None:
    from denoising_diffusion.cli import main

    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    count = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int)
            changes = changes and bool(flags & WRITES) and not os.fsdecode(path).startswith("/dev")
        if changes:
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    code = 70
    try:
        main(list(command))
    except SystemExit as end:
        code = int(end.code or 0)
    if at < 0:
        os.write(said, f"\n{count} changes\n".encode())
    os._exit(code)


def state(folder: Path) -> dict[str, object]:
    """All files and folders with their content, all but the recorded time of training."""
    from denoising_diffusion.files import digest, read_notes

    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name != "said":
            found[name] = None if path.is_dir() else digest(path)
        if path.suffix == ".safetensors":
            found[name] = {k: v for k, v in read_notes(path).items() if k != "seconds"}
        if path.name in ("report.html", "origins.json"):
            found[name] = without_times(path)
    return found


def without_times(path: Path) -> object:
    """A page without its times, or a record of files without the digest of such a page."""
    if path.suffix == ".html":
        return re.sub(r"<time>.*?</time>", "", path.read_text(encoding="utf-8"))
    record = json.loads(path.read_text(encoding="utf-8"))
    for name, entry in record.items():
        if name.endswith(".html"):
            del entry["sha256"]
    return record


@contextlib.contextmanager
def copy_of(template: Path) -> Iterator[Path]:
    """A copy of a folder, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(dir=template.parent) as name:
        yield Path(shutil.copytree(template, Path(name) / "work", symlinks=True))


def prepared(case: Case, place: Path) -> Path:
    """A folder in which the case's command is about to be given."""
    template = place / "template"
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir(parents=True)
    (template / "small.json").write_text(json.dumps(SMALL))
    (template / "pictures.json").write_text(json.dumps(PICTURES))
    for command in case.before:
        assert give(command, template) == 0, (template / "said").read_text()
    if case.cold:
        shutil.rmtree(template / "cache", ignore_errors=True)
    elif next(n for n, c in CASES.items() if c is case) == "train pictures":
        with copy_of(template) as warm:  # the classifier is the cache's own case
            assert give(case.command, warm) == 0, (warm / "said").read_text()
            shutil.copytree(warm / "cache", template / "cache")
    return template


def check(name: str, case: Case, place: Path, part: int, moments: int, draw: random.Random) -> int:
    """Kill this case's command in all these ways; the number of kills."""
    template = prepared(case, place)
    with copy_of(template) as folder:
        begin = time.monotonic()
        assert give(case.command, folder, at=-1) == 0, (folder / "said").read_text()
        seconds = time.monotonic() - begin
        total = int((folder / "said").read_text().split()[-2])
        expected = state(folder)
    chosen = sorted(draw.sample(range(1, total + 1), -(-total // part)))
    kills = [{"at": k} for k in chosen]
    kills += [{"after": draw.uniform(0.01, seconds)} for _ in range(moments)]
    for kill in kills:
        with copy_of(template) as folder:
            code = give(case.command, folder, **kill)
            assert code == -9 or "after" in kill, f"{name}: {kill}: {code}"
            again = give(case.command, folder)
            said = (folder / "said").read_text()
            assert again == 0, f"{name}: killed {kill}, then exit {again}: {said}"
            found = state(folder)
            different = [k for k in {**expected, **found} if expected.get(k) != found.get(k)]
            assert not different, f"{name}: killed {kill}, then other: {different}\n{said}"
    print(f"{name}: {len(chosen)} of {total} changes, {moments} moments", flush=True)
    return len(kills)


def main() -> None:
    """Check all cases and print how many kills there were."""
    parser = argparse.ArgumentParser(description="Kill commands and compare what they leave.")
    parser.add_argument("--part", type=int, default=1)
    parser.add_argument("--moments", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", choices=list(CASES))
    options = parser.parse_args()
    _import_all()
    draw = random.Random(options.seed)
    cases = {n: c for n, c in CASES.items() if options.case in (None, n)}
    count = 0
    with tempfile.TemporaryDirectory() as place:
        for i, (name, case) in enumerate(cases.items()):
            moments = options.moments * (i + 1) // len(cases) - options.moments * i // len(cases)
            count += check(name, case, Path(place), options.part, moments, draw)
    print(f"{count} kills, each command completed itself to the same bits")


def _import_all() -> None:
    """Once, so that no command spends its time on it."""
    import matplotlib.figure
    import PIL.PngImagePlugin
    import sklearn.datasets
    import torch

    import denoising_diffusion.cli.commands
    import denoising_diffusion.run.score
    import denoising_diffusion.run.train

    torch.set_num_threads(1)
    del matplotlib, PIL, sklearn, denoising_diffusion


if __name__ == "__main__":
    main()
