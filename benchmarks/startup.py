"""How long commands take to start, in turn: `ddpm --help`, `info`, and `sample` of 16.

    python benchmarks/startup.py RUN [--rounds 7] [--docs docs/benchmarks.md]

RUN is any finished run; its samples go into a folder that is thrown away. Beside them stand a bare
Python and one that imports PyTorch, which no command that uses it can be faster than.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring as m


def commands(run: Path, out: Path) -> dict[str, list[str]]:
    """What is timed, by name."""
    ddpm = [sys.executable, "-m", "denoising_diffusion"]
    return {
        "python": [sys.executable, "-c", ""],
        "python, import torch": [sys.executable, "-c", "import torch"],
        "ddpm --help": [*ddpm, "--help"],
        "ddpm info RUN": [*ddpm, "info", str(run)],
        "ddpm sample RUN --num 16": [*ddpm, "sample", str(run), "--num", "16", "--out", str(out)],
    }


def call(command: list[str], out: Path) -> None:
    """Run it, or end with what it says."""
    out.unlink(missing_ok=True)  # else the second time it would only find what it drew
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--docs", type=Path, help="the page whose table is written")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples.png"
        calls = {
            name: (lambda command=command: call(command, out))
            for name, command in commands(options.run, out).items()
        }
        times = m.in_turn(calls, options.rounds)
    rows = []
    for name, seconds in times.items():
        low, middle, high = m.spread(seconds)
        ratio = m.ratios(seconds, times["python, import torch"])[1]
        rows.append((f"`{name}`", f"{middle:.2f} ({low:.2f} … {high:.2f})", f"{ratio:.2f}"))
    head = ("command", "seconds", "× import of torch")
    text = f"{options.rounds} turns each. {m.where_text(m.where())}.\n\n{m.table(head, rows)}"
    print(text)
    if options.docs:
        m.into_page(options.docs, "start-up", text)


if __name__ == "__main__":
    main()
