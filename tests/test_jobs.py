import dataclasses
import errno
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from denoising_diffusion.cli import main
from denoising_diffusion.config import RunConfig, Sampling
from denoising_diffusion.data import whole
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.points import Points
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run, loop
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.prepare import facts_of, load_data
from denoising_diffusion.run.request import completed, evaluations
from denoising_diffusion.run.stop import Diverged
from denoising_diffusion.run.train import train_run


def tiny(name="spiral", **training) -> RunConfig:
    config = recipe(name)
    return dataclasses.replace(
        config,
        data={**config.data, "size": 300},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(
            config.training, epochs=2, batch_size=100, warmup_steps=0, **training
        ),
        sampling=dataclasses.replace(config.sampling, num=60),
    )


def test_a_loss_that_is_no_number_stops_and_names_step_rate_and_checkpoint(tmp_path, monkeypatch):
    real = loop.build_loss

    def spoiled(config, progress):
        loss, calls = real(config, progress), []

        def nan_at_the_fifth(model, batch, generator):
            calls.append(None)
            return loss(model, batch, generator) * (torch.nan if len(calls) == 5 else 1)

        nan_at_the_fifth.held_out = loss.held_out
        return nan_at_the_fifth

    monkeypatch.setattr(loop, "build_loss", spoiled)
    with pytest.raises(Diverged, match=r"step 5, learning rate .*checkpoint is .*checkpoint\.saf"):
        train_run(tiny(), tmp_path / "run")
    stored = Run(tmp_path / "run").read_checkpoint()
    assert stored is not None
    assert stored.notes["step"] == 3
    assert all(torch.isfinite(v).all() for v in stored.tensors.values())


def test_overwrite_moves_the_old_run_aside_and_loses_nothing(tmp_path):
    for seed in (0, 1, 2):
        train_run(tiny(seed=seed), tmp_path / "run", evaluate=False, overwrite=True)
    seeds = {
        name: Run(tmp_path / name).config.training.seed for name in ("run.old", "run.old2", "run")
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
        assert file["samples"].dtype == np.float64
        assert file["samples"].shape == (50, 3)
        assert rows.min(0)[0] - 1 <= file["samples"][:, 0].min()
        assert "labels" not in file


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

    monkeypatch.setattr("denoising_diffusion.run.train.load_data", greedy)
    with pytest.raises(SystemExit) as end:
        main(["train", "spiral", "--out", str(tmp_path / "run")])
    assert end.value.code == 1
    assert "ddpm: error: memory ran out; take a smaller --batch-size" in capsys.readouterr().err


def points_of(config: RunConfig):
    data = load_data(config.data)
    return data, Points(facts_of(data))


def scores(kind, data, points) -> dict:
    return {s.key: s for s in kind.scores(points, None, data, Scoring()).scores}


def test_curve_scores_tell_fresh_data_from_collapse():
    config = tiny()
    data, kind = points_of(dataclasses.replace(config, data={**config.data, "size": 5000}))
    train = whole(data.train)[0]
    fresh = scores(kind, data, train)
    assert fresh["mean_distance"].value < 1e-4
    tv = fresh["arc_histogram_tv"]
    assert tv.value < 1.5 * tv.beside["fresh_tv"]
    collapsed = scores(kind, data, train[:1].repeat(5000, 1))
    assert collapsed["arc_histogram_tv"].value > 0.9


def finished(folder, name="digits", **training) -> Run:
    """A run that was begun and never trained."""
    config = recipe(name)
    config = dataclasses.replace(config, facts=facts_of(load_data(config.data)))
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **training))
    run = Run(folder)
    run.create(config)
    return run


def test_a_guided_step_counts_twice_and_unlabelled_needs_label_dropout(tmp_path):
    run = finished(tmp_path / "run")
    wish = run.config.sampling
    counts = [
        evaluations(run, completed(run, dataclasses.replace(wish, guidance_scale=scale)))
        for scale in (0.0, 1.0, 2.0)
    ]
    assert counts == [25, 25, 50]
    run = finished(tmp_path / "without", label_dropout=0.0)
    with pytest.raises(ValueError, match="trained with label_dropout 0"):
        completed(run, dataclasses.replace(wish, label=("none",)))


def test_a_request_is_completed_once_and_only_with_what_the_run_keeps(tmp_path):
    run = finished(tmp_path / "run")
    full = completed(run, Sampling(label=("3",)))
    assert (full.sampler, full.steps, full.num, full.average) == ("ddpm", 100, 80, "ema")
    assert completed(run, full) == full
    with pytest.raises(ValueError, match="average must be one of ema, raw, got 'power-0.05'"):
        completed(run, Sampling(average="power-0.05"))
    with pytest.raises(ValueError, match="sampler ddpm takes no eta, got 0.5"):
        completed(run, Sampling(eta=0.5))


def test_a_model_is_built_from_its_configuration_alone(tmp_path):
    run = finished(tmp_path / "run", seed=4)
    one, two = (build_diffusion(run.config) for _ in range(2))
    torch.manual_seed(1)  # what was drawn before does not matter
    three = build_diffusion(run.config)
    for a, b, c in zip(one.parameters(), two.parameters(), three.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    assert one.clip == (-1, 1)
