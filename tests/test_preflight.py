"""What cannot come to its end is refused, or adapted, before anything is written."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from denoising_diffusion.data.digits import digits
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import preflight as module
from denoising_diffusion.run.preflight import preflight, saved_bytes
from denoising_diffusion.run.prepare import load_data
from denoising_diffusion.run.settings import settled
from test_idx import small_set
from test_runs import ddpm

CPU = torch.device("cpu")


def test_the_bytes_that_a_backward_pass_needs_are_counted_exactly():
    x = torch.randn(7, 5, requires_grad=True)
    layer = nn.Linear(5, 3)
    # Linear keeps its input, tanh its output, the square its input: the same as tanh's output.
    found = saved_bytes(layer, lambda: (layer(x).tanh() ** 2).sum())
    assert found == 4 * (7 * 5 + 7 * 3)


def test_parameters_and_memory_are_told_as_they_will_be(tmp_path):
    data = digits()
    ready = preflight(recipe("digits"), data, tmp_path / "run", CPU, evaluate=True)
    count = sum(p.numel() for p in ready.model.parameters())
    assert f"{count:,} parameters" in ready.report[0]
    assert "898 samples will be scored" in ready.report[1]
    assert ready.config.facts.parameters == count
    assert not list(tmp_path.iterdir())


def test_the_batch_that_is_offered_fits_and_one_more_example_does_not(monkeypatch, tmp_path):
    config = recipe("digits")
    monkeypatch.setattr(module, "available_memory", lambda device: 50_000_000)

    def of(batch_size):
        training = dataclasses.replace(config.training, batch_size=batch_size)
        changed = dataclasses.replace(config, training=training)
        return preflight(changed, digits(), tmp_path / "run", CPU, evaluate=True)

    with pytest.raises(ValueError, match="take a --batch-size of at most") as refused:
        of(100_000)
    most = int(str(refused.value).rsplit(" ", 1)[1].replace(",", ""))
    of(most)
    with pytest.raises(ValueError, match=f"batch_size of {most + 1:,} needs about"):
        of(most + 1)


def test_a_full_disk_is_told_before_the_first_step(monkeypatch, tmp_path):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"needs about .* MB of disk, 0.0 MB are free there"):
        preflight(recipe("digits"), digits(), tmp_path / "run", CPU, evaluate=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--batch-size", 10**9], "needs about"),
        (["--network.model-channels", 4000], "take a smaller one"),
        (["--network.model-channels", 10**9], "cannot be built"),
        (["--sampling.guidance-scale", 2, "--training.label-dropout", 0], "label_dropout 0"),
        (["--sampling.label", "cat"], "unknown label 'cat'"),
        (["--training.averages", "power-9"], "power average must lie in (0, 0.28)"),
    ],
)
def test_a_run_that_could_not_end_is_refused_and_leaves_the_folder_free(tmp_path, options, text):
    for more in ([], ["--dry-run"]):
        done = ddpm("train", "digits", "--out", "run", *options, *more, cwd=tmp_path)
        assert done.returncode == 2
        assert text in done.stderr
        assert not list(tmp_path.iterdir())


def test_a_set_with_few_images_trains_and_scores_what_it_has(tmp_path):
    small_set(tmp_path / "set", train=100, test=30, side=8)
    options = ["--network.model-channels", 8, "--network.middle-blocks", 1]
    options += ["--schedule.timesteps", 4, "--sampling.steps", 2, "--epochs", 1]
    command = ["train", "numbers", "--data", "set", "--out", "run", *options]
    done = ddpm(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "30 samples will be scored, not" in done.stderr
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["num_samples"] == 30
    assert (tmp_path / "run" / "samples.png").exists()


def test_a_dry_run_reports_on_standard_error_and_writes_nothing(tmp_path):
    np.savetxt(tmp_path / "p.csv", np.random.default_rng(0).normal(size=(50, 2)), delimiter=";")
    before = sorted(tmp_path.rglob("*"))
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    old = {k: os.environ.get(k) for k in environment}
    os.environ.update(environment)
    try:
        done = ddpm("train", "points", "--data", "p.csv", "--dry-run", cwd=tmp_path)
    finally:
        for key, value in old.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"] == "points"
    for text in ("points of shape 2", "parameters", "of memory", "of disk", "';'"):
        assert text in done.stderr, text
    assert sorted(tmp_path.rglob("*")) == before


def test_no_more_samples_are_begun_than_memory_takes_in_the_end(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda device: 12 * 64 * 100)
    module.check_room((1, 8, 8), 100)
    with pytest.raises(ValueError, match="num must be at most 100 here, .* got 101"):
        module.check_room((1, 8, 8), 101)


def test_one_picture_held_out_is_too_few_to_compare_with(tmp_path):
    for i in range(10):
        Image.new("L", (8, 8), 20 * i).save(tmp_path / f"{i}.png")
    config = settled(recipe("sprites"), tmp_path)
    config = dataclasses.replace(config, data={**config.data, "size": 8})
    data = load_data(config.data)
    with pytest.raises(ValueError, match=r"1 real examples .* at least 2 are .* --no-evaluate"):
        preflight(config, data, tmp_path / "run", CPU, evaluate=True)
    preflight(config, data, tmp_path / "run", CPU, evaluate=False)
