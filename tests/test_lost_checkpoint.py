"""A finished run whose checkpoint is gone."""

import json

from test_faults import SMALL
from test_runs import ddpm


def test_it_is_not_lengthened_from_its_beginning_in_silence(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    train = ("train", "spiral", "--config", "small.json", "--out", "run", "--no-evaluate")
    assert ddpm(*train, cwd=tmp_path).returncode == 0
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    done = ddpm("resume", "run", "--epochs", 5, "--no-evaluate", cwd=tmp_path)
    assert done.returncode == 2
    assert "run/checkpoint.safetensors is missing, from which run would go on" in done.stderr
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before
    assert ddpm(*train, cwd=tmp_path).returncode == 0  # it is finished all the same
