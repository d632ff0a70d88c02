"""A folder of pictures from the command line to samples."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from denoising_diffusion.run import Run

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1]},
    "schedule": {"timesteps": 5},
    "training": {"epochs": 2, "warmup_steps": 0, "precision": "float32", "averages": []},
    "sampling": {"steps": 2},
}


def ddpm(*arguments, cwd):
    command = [sys.executable, "-m", "denoising_diffusion", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cwd / "cache")}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Red and blue pictures of 12 × 16, and a run that has learned them at 8 × 10 or so."""
    place = tmp_path_factory.mktemp("folder")
    noise = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (place / "set" / name).mkdir(parents=True)
        for i in range(30):
            pixels = noise.integers(0, 40, (16, 12, 3)).astype(np.uint8)
            pixels[..., channel] += 200
            Image.fromarray(pixels).save(place / "set" / name / f"{i}.png")
    (place / "small.json").write_text(json.dumps(SMALL))
    (place / "set" / "broken.png").write_text("x")
    (place / "set" / "red" / "broken.png").write_text("x")
    (place / "set" / "broken.png").unlink()
    done = ddpm(*train("run", "--size", 9, "--no-evaluate"), cwd=place)
    assert done.returncode == 0, done.stderr
    return place, done


def train(out, *more):
    return ["train", "folder", "--data", "set", "--config", "small.json", "--out", out, *more]


def test_what_is_said_before_and_what_is_there_after(workplace):
    place, done = workplace
    said = done.stderr.splitlines()
    for line in (
        "ddpm: 60 pictures, all 12 × 16, RGB 60",
        "ddpm: learned in colour at 9 × 12: made smaller 60",
        "ddpm: unreadable, skipped: 1: red/broken.png (no picture)",
        "ddpm: 2 classes: blue 30, red 30",
    ):
        assert line in said
    run = Run(place / "run")
    assert run.facts.shape == (3, 12, 9)
    assert run.facts.class_names == ("blue", "red")
    assert run.config.data["path"] == str(place / "set")
    assert run.config.training.augment["name"] == "pictures"
    with Image.open(run.path / "samples.png") as picture:
        assert picture.mode in ("RGB", "P")
    # Samples need no data, and come from the weights that are told of no change.
    model = run.model()
    x = torch.randn(2, 3, 12, 9)
    t = torch.tensor([2.0, 4.0])
    told = model.denoise(x, t, torch.tensor([1, 2]), torch.zeros(2, 7))
    assert torch.equal(model.denoise(x, t, torch.tensor([1, 2])), told)
    arrays = ddpm("sample", "run", "--num", 6, "--out", "s.npz", cwd=place)
    assert arrays.returncode == 0, arrays.stderr
    with np.load(place / "s.npz") as file:
        assert file["samples"].shape == (6, 12, 9, 3)
        assert file["labels"].tolist() == ["blue", "red"] * 3


def test_stopped_and_continued_equals_never_stopped(workplace):
    place, _ = workplace
    assert ddpm(*train("half", "--size", 9, "--epochs", 1, "--no-evaluate", "--training.no-decay"),
                cwd=place).returncode == 0  # fmt: skip
    assert ddpm("resume", "half", "--epochs", 2, "--no-evaluate", cwd=place).returncode == 0
    assert ddpm(*train("whole", "--size", 9, "--no-evaluate", "--training.no-decay"),
                cwd=place).returncode == 0  # fmt: skip
    half, whole = (load_file(place / n / "model.safetensors") for n in ("half", "whole"))
    assert all(torch.equal(half[k], whole[k]) for k in whole)


def test_another_runs_weights_where_they_fit(workplace):
    place, _ = workplace
    refused = ddpm(*train("x", "--size", 9, "--init", "nowhere", "--dry-run"), cwd=place)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "nowhere is no run folder" in refused.stderr
    done = ddpm(
        *train("begun", "--size", 9, "--init", "run", "--no-evaluate", "--data.no-labels",
               "--training.learning-rate", "1e-30"), cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "begins with" in line)
    assert f"tensors of weights from {place / 'run'}" in line
    theirs, mine = (load_file(place / n / "model.safetensors") for n in ("run", "begun"))
    shared = [k for k in mine if k in theirs and theirs[k].shape == mine[k].shape]
    assert len(shared) > 10
    assert any("class_embedding" in k for k in theirs.keys() - mine.keys())
    assert all(torch.allclose(mine[k], theirs[k], atol=1e-6) for k in shared)
    assert Run(place / "begun").config.training.init == str(place / "run")


def test_a_dry_run_writes_nothing_at_all(workplace):
    place, _ = workplace
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*")}
    done = ddpm(*train("other", "--size", 7, "--dry-run", "--no-evaluate"), cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["size"] == 7
    assert "learned in colour at 7 × 9" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*")} == before


def test_a_changed_folder_is_refused_by_resume(workplace):
    place, _ = workplace
    extra = place / "set" / "red" / "extra.png"
    Image.new("RGB", (12, 16), (1, 2, 3)).save(extra)
    try:
        done = ddpm("resume", "run", "--epochs", 3, cwd=place)
    finally:
        extra.unlink()
    assert done.returncode == 2
    assert "the data of run has changed since the run began" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "folder"], "the recipe folder needs --data, a folder of pictures"),
        (["train", "folder", "--data", "small.json"], "small.json: no folder of pictures"),
        (["train", "sprites", "--data", "gone"], "gone: no such folder"),
        (["train", "folder", "--data", "set", "--size", "2"], "size must lie in 4..1024, or be 0"),
        (["train", "digits", "--size", "20"], "data digits takes no size"),
        (["train", "folder", "--data", "set", "--training.augment", '{"name": "pictures", "x": 1}'],
         "takes no x"),
        (["train", "folder", "--data", "set", "--network.dropout", "1.5"], "dropout must lie in"),
    ],
)  # fmt: skip
def test_refusals(workplace, arguments, message):
    place, _ = workplace
    done = ddpm(*arguments, "--out", "refused", cwd=place)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (place / "refused").exists()
