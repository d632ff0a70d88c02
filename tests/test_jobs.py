import dataclasses
import errno
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from denoising_diffusion.cli import main
from denoising_diffusion.config import MLPConfig, RunConfig, ScheduleConfig
from denoising_diffusion.jobs import Diverged, SampleOptions, plan, train_run
from denoising_diffusion.jobs import training as training_job
from denoising_diffusion.jobs.evaluation import evaluate_points
from denoising_diffusion.jobs.prepare import read_data, validation_loss, with_facts
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import RunFolder, build_diffusion
from denoising_diffusion.strict_json import to_json


def tiny(name="spiral", **training) -> RunConfig:
    config = recipe(name)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, size=300),
        network=MLPConfig(hidden=8, num_layers=1),
        schedule=ScheduleConfig(timesteps=5),
        training=dataclasses.replace(
            config.training, epochs=2, batch_size=100, warmup_steps=0, **training
        ),
        sampling=dataclasses.replace(config.sampling, num=60),
    )


def test_a_loss_that_is_no_number_stops_and_names_step_rate_and_checkpoint(tmp_path, monkeypatch):
    real = training_job.diffusion_loss

    def spoiled(config):
        loss, calls = real(config), []

        def nan_at_the_fifth(model, batch, generator):
            calls.append(None)
            return loss(model, batch, generator) * (torch.nan if len(calls) == 5 else 1)

        return nan_at_the_fifth

    monkeypatch.setattr(training_job, "diffusion_loss", spoiled)
    with pytest.raises(Diverged, match=r"step 5, learning rate .*checkpoint is .*checkpoint\.saf"):
        train_run(tiny(), tmp_path / "run")
    stored = RunFolder(tmp_path / "run").read_checkpoint()
    assert stored is not None
    assert stored[1] == 3
    assert all(torch.isfinite(v).all() for v in stored[0].tensors.values())


def test_overwrite_moves_the_old_run_aside_and_loses_nothing(tmp_path):
    for seed in (0, 1, 2):
        train_run(tiny(seed=seed), tmp_path / "run", evaluate=False, overwrite=True)
    seeds = {
        name: RunFolder(tmp_path / name).read_config().training.seed
        for name in ("run.old", "run.old2", "run")
    }
    assert seeds == {"run.old": 0, "run.old2": 1, "run": 2}


def test_a_folder_of_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds files but no run"):
        train_run(tiny(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_users_own_points_come_back_in_their_own_units(tmp_path):
    rows = np.random.default_rng(0).normal([1000.0, -3.0, 5.0], [50.0, 0.1, 2.0], (200, 3))
    np.savetxt(tmp_path / "mine.csv", rows, delimiter=",", header="a,b,c", comments="")
    (tmp_path / "small.json").write_text(
        json.dumps({"network": {"hidden": 16, "num_layers": 1}, "schedule": {"timesteps": 5}})
    )
    arguments = ["train", "points", "--data", str(tmp_path / "mine.csv"), "--epochs", "3"]
    arguments += ["--config", str(tmp_path / "small.json"), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "denoising_diffusion", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "mean distance" in done.stdout
    out = tmp_path / "s.npz"
    with pytest.raises(SystemExit) as end:
        main(["sample", str(tmp_path / "run"), "--num", "50", "--out", str(out)])
    assert end.value.code == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["samples"].dtype == np.float32
        assert file["samples"].shape == (50, 3)
        assert rows.min(0)[0] - 1 <= file["samples"][:, 0].min()
        assert "labels" not in file


def test_a_written_configuration_runs_without_the_command_line(tmp_path):
    (tmp_path / "c.json").write_text(to_json(tiny()))
    command = [sys.executable, "-m", "denoising_diffusion.jobs", "c.json", "run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "arc histogram TV" in done.stdout
    assert (tmp_path / "run" / "closest.png").exists()


def test_a_full_disk_is_one_line_with_the_remedy(tmp_path, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SystemExit) as end:
        main(["train", "spiral", "--out", str(tmp_path / "run")])
    assert end.value.code == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("ddpm: error: the disk is full; free some space")


def test_memory_that_runs_out_is_one_line_with_the_remedy(tmp_path, monkeypatch, capsys):
    def greedy(config):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr("denoising_diffusion.jobs.runs.read_data", greedy)
    with pytest.raises(SystemExit) as end:
        main(["train", "spiral", "--out", str(tmp_path / "run")])
    assert end.value.code == 1
    assert "ddpm: error: memory ran out; take a smaller --batch-size" in capsys.readouterr().err


def test_the_validation_loss_never_changes_and_covers_every_time(tmp_path):
    config = tiny()
    data = read_data(config)
    config = with_facts(config, data)
    model = build_diffusion(config, config.facts)
    seen = []
    inner = model.denoise_fn

    class Spy(torch.nn.Module):
        def forward(self, x, t, *conditions):
            seen.append(t)
            return inner(x, t, *conditions)

    model.denoise_fn = Spy()
    batch = (data.validation,)
    assert validation_loss(model, batch, config) == validation_loss(model, batch, config)
    counts = torch.bincount(seen[0].long(), minlength=6)[1:]
    assert counts.min() >= len(data.validation) // 5
    assert counts.max() - counts.min() <= 1


def test_curve_scores_tell_fresh_data_from_collapse():
    config = tiny()
    data = read_data(dataclasses.replace(config, data=dataclasses.replace(config.data, size=5000)))
    fresh = evaluate_points(data, data.train, None)
    assert fresh["mean_distance"] < 1e-4
    assert fresh["arc_histogram_tv"] < 1.5 * fresh["fresh_tv"]
    collapsed = evaluate_points(data, data.train[:1].repeat(5000, 1), None)
    assert collapsed["arc_histogram_tv"] > 0.9


def test_a_guided_step_counts_twice_and_unlabelled_needs_label_dropout():
    config = recipe("digits")
    config = with_facts(config, read_data(config))
    counts = {
        scale: plan(config, config.facts, SampleOptions(guidance_scale=scale), 10)
        for scale in (0.0, 1.0, 2.0)
    }
    assert [p.network_evaluations for p in counts.values()] == [25, 25, 50]
    without = dataclasses.replace(config.training, label_dropout=0.0)
    config = dataclasses.replace(config, training=without)
    with pytest.raises(ValueError, match="trained with label_dropout 0"):
        plan(config, config.facts, SampleOptions(labels=("none",)), 10)
