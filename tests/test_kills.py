"""A seeded part of `kill_runs.py`; the whole of it is one command, see CONTRIBUTING."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)  # hundreds of commands, which a busy machine takes long for
def test_killed_commands_complete_themselves_to_the_same_bits():
    script = Path(__file__).parent / "kill_runs.py"
    command = [sys.executable, str(script), "--part", "40", "--moments", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "kills, each command completed itself to the same bits" in done.stdout
