"""What a run keeps of its evaluations."""

import dataclasses
import json
import math

import pytest

from denoising_diffusion.cli import main
from denoising_diffusion.metrics import Score
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.evaluations import Evaluations
from denoising_diffusion.run.train import resume_run, train_run


def tiny(name="spiral", **training):
    config = recipe(name)
    return dataclasses.replace(
        config,
        data={**config.data, "size": 300},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(
            config.training, **{"epochs": 2, "batch_size": 100, "warmup_steps": 0, **training}
        ),
        sampling=dataclasses.replace(config.sampling, num=60),
    )


SCORES = [Score("fld", "Fréchet distance", 1.5, 0.25, {"floor": 0.5})._asdict()]


def test_equal_evaluations_stand_once_and_none_is_lost(tmp_path):
    kept = Evaluations(tmp_path / "evaluations.jsonl")
    for seed in (0, 1, 0):
        kept.add(SCORES, {"steps": 10}, {"seed": seed})
    assert [e.origin["seed"] for e in kept.read()] == [0, 1]
    before = kept.file.read_bytes()
    changed = [{**SCORES[0], "value": math.nan}]
    kept.add(changed, {"steps": 10}, {"seed": 0})
    assert kept.file.read_bytes().startswith(before)
    assert [e.scores[0]["value"] for e in kept.read()] == [1.5, 1.5, None]


def test_what_is_damaged_is_kept_and_named(tmp_path):
    kept = Evaluations(tmp_path / "evaluations.jsonl")
    kept.add(SCORES, {}, {})
    cut = kept.file.read_bytes()[:-30]
    kept.file.write_bytes(cut)
    kept.add(SCORES, {}, {"seed": 1})
    assert kept.file.read_bytes().startswith(cut + b"\n")
    with pytest.raises(ValueError, match="is damaged in line 1"):
        kept.read()


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [{**SCORES[0], "value": "x"}]},
        {"scores": [{**SCORES[0], "beside": []}]},
        {"scores": [{"key": "fld"}]},
        {"note": 3},
        {"version": None},
    ],
)
def test_lines_that_none_of_ours_could_be_are_refused(tmp_path, change):
    kept = Evaluations(tmp_path / "evaluations.jsonl")
    line = {"version": "1", "from": {}, "note": {}, "scores": SCORES, **change}
    kept.file.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="is damaged in line 1"):
        kept.read()


def test_a_run_keeps_every_score_with_what_it_was_made_from(tmp_path, capsys):
    train_run(tiny(), tmp_path / "run")
    run = Run(tmp_path / "run")
    (first,) = run.evaluations.read()
    stored = json.loads(run.evaluation_file.read_text())
    by_key = {s["key"]: s["value"] for s in first.scores}
    assert by_key["sliced_wasserstein"] == stored["sliced_wasserstein"]
    assert first.note["network_evaluations"] == stored["network_evaluations"]
    assert first.origin["request"]["num"] == 60
    assert first.origin["step"] == 6
    for arguments in (["--seed", "3"], ["--seed", "3"], ["--likelihood", "--num", "20"]):
        with pytest.raises(SystemExit) as end:
            main(["evaluate", str(tmp_path / "run"), "--num", "20", *arguments])
        assert end.value.code == 0
    capsys.readouterr()
    resume_run(tmp_path / "run", epochs=3)
    kept = Run(tmp_path / "run").evaluations.read()
    assert kept[0] == first
    assert [e.origin["step"] for e in kept] == [6, 6, 6, 9]
    assert kept[1].origin["request"]["seed"] == 3
    assert "bits_per_dim" in {s["key"] for s in kept[2].scores}
    assert len({e.origin["weights"] for e in kept}) == 2
