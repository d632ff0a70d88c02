import re
import sys

import pytest

from denoising_diffusion import progress
from test_runs import ddpm, train_command


def test_off_a_terminal_every_epoch_has_a_line(tmp_path):
    done = ddpm(*train_command(tmp_path, "run", 3), "--no-evaluate", cwd=tmp_path)
    lines = [line for line in done.stderr.splitlines() if "epoch" in line]
    assert [re.match(r"ddpm: epoch (\d) of 3, loss \d", line)[1] for line in lines] == list("123")


def test_long_work_says_now_and_then_how_far_it_is(monkeypatch, capsys):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.progress(range(40), 40, "drawing")) == list(range(40))
    shares = re.findall(r"ddpm: drawing, (\d+)%", capsys.readouterr().err)
    assert shares[0] == "8"
    assert len(shares) == 3


@pytest.mark.parametrize("terminal", [True, False])
def test_items_come_through_unchanged(monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert list(progress.progress(iter("abc"), 3, "x")) == ["a", "b", "c"]
