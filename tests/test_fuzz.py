"""A seeded part of `fuzz_runs.py`: commands on damaged runs do what is right, or refuse."""

import pytest

from fuzz_runs import fuzz


@pytest.mark.slow
def test_damaged_runs_are_refused_or_give_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert fuzz(list(range(14)), real=4, jobs=2) == []
