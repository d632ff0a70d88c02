import re
import subprocess
import sys
from pathlib import Path

import pytest

from denoising_diffusion.cli.parser import parse

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_every_example_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, str(path), "5"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "False" not in done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_every_example_is_short(path):
    assert len(path.read_text().splitlines()) <= 60


def test_every_python_block_of_the_readme_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        short = re.sub(r"steps=\d+", "steps=5", block)
        done = subprocess.run(
            [sys.executable, "-c", short], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md", "docs/tutorial.md"])
def test_every_command_of_a_page_is_understood(page):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line.split("#")[0].split() for block in blocks for line in block.splitlines()]
    commands = [words[1:] for words in lines if words and words[0].endswith("ddpm")]
    assert len(commands) >= 10
    for words in commands:
        parse(words)
