"""Runs that keep a snapshot and are guided by it, in an interval, and with thresholds."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from denoising_diffusion import (
    ClassifierFreeGuidance,
    autoguided,
    bound,
    clipped,
    ddim,
    last,
    sample,
    thresholded,
    time_grid,
    within_interval,
)
from denoising_diffusion.cli import main
from denoising_diffusion.config import Sampling
from denoising_diffusion.files import read_tensors
from denoising_diffusion.guidance import is_within
from denoising_diffusion.run import Run
from denoising_diffusion.run.draw import draw, origin
from denoising_diffusion.run.guided import snapshot
from denoising_diffusion.run.request import completed, evaluations, file_name

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
    "schedule": {"timesteps": 10},
    "training": {"warmup_steps": 5, "precision": "float32", "decay": False, "epochs": 3}
    | {"snapshot": 2},
    "sampling": {"steps": 4, "num": 40},
}


def ddpm(*arguments):
    """The exit code of a command in this process, in its working folder."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def train(out, *options, file="small.json"):
    known = ["train", "digits", "--config", file, "--no-evaluate"]
    return ddpm(*known, "--out", out, *options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guided")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "small.json").write_text(json.dumps(SMALL))
        assert train("run") == 0
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return Run(folder / "run")


def wish(run, **changes):
    return completed(run, replace(run.config.sampling, num=6, label=("3", "8"), **changes))


def test_a_snapshot_is_the_model_that_a_shorter_run_ends_with(run):
    assert train("short", "--epochs", 2) == 0
    short = Run("short")
    kept, ended = (read_tensors(f).tensors for f in (run.snapshot_file, short.model_file))
    assert kept.keys() == ended.keys()
    assert all(torch.equal(kept[k], ended[k]) for k in kept)
    assert short.snapshot_file.exists()
    # Lengthened, it is the longer run, and keeps what it kept.
    before = read_tensors(short.snapshot_file).tensors
    assert ddpm("resume", "short", "--epochs", 3, "--no-evaluate") == 0
    one, two = (read_tensors(r.model_file).tensors for r in (run, Run("short")))
    assert all(torch.equal(one[k], two[k]) for k in one)
    after = read_tensors(short.snapshot_file).tensors
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("fails", ["write_checkpoint", "export"])
def test_a_kill_around_the_snapshot_changes_nothing(run, monkeypatch, fails):
    calls = []

    def dies(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2 or fails == "export":  # the end of epoch 2
            raise KeyboardInterrupt
        return true(self, *args, **kwargs)

    true = getattr(Run, fails)
    with monkeypatch.context() as patch:
        patch.setattr(Run, fails, dies)
        assert train(fails) == 130
    assert Run(fails).snapshot_file.exists() == (fails == "write_checkpoint")
    assert train(fails) == 0
    for name in ("snapshot.safetensors", "model.safetensors"):
        assert (run.path / name).read_bytes() == (run.path.parent / fails / name).read_bytes()


def test_samples_are_those_of_the_denoisers_composed_by_hand(run):
    model = run.model(device="cpu")
    weak, labels = snapshot(run, model), torch.tensor([4, 9] * 3)
    strong, weak = bound(model.denoise, labels), bound(weak.denoise, labels)
    guided = ClassifierFreeGuidance(model.denoise, labels, 3.0)
    cases = {
        clipped(autoguided(strong, weak, 2.0)): {"autoguidance": 2.0},
        clipped(within_interval(guided, strong, model.schedule, 0.3, 2.0)): {
            "guidance_scale": 3.0,
            "guidance_interval": (0.3, 2.0),
        },
        thresholded(guided, 0.9): {"guidance_scale": 3.0, "threshold": 0.9},
    }
    drawn = [draw(run, model, wish(run))]
    for denoise, options in cases.items():
        steps = sample(model, 6, sampler=ddim, times=time_grid(10, 4), denoise=denoise, seed=0)
        drawn.append(draw(run, model, wish(run, **options)))
        torch.testing.assert_close(drawn[-1], last(steps).x, rtol=0, atol=1e-6)
    for i, one in enumerate(drawn):
        assert all((one - other).abs().max() > 1e-3 for other in drawn[:i])


def test_network_evaluations_count_guided_steps_twice(run):
    schedule = run.model(device="cpu").schedule
    inside = is_within(schedule, torch.tensor(time_grid(10, 4)[:-1]), 0.3, 2.0).sum().item()
    assert 0 < inside < 4
    for options, count in (
        ({}, 4),
        ({"autoguidance": 2.0}, 8),
        ({"autoguidance": 0.0}, 4),
        ({"guidance_scale": 2.0}, 8),
        ({"guidance_scale": 2.0, "guidance_interval": (0.3, 2.0)}, 4 + inside),
        ({"autoguidance": 2.0, "guidance_interval": (0.3, 2.0)}, 4 + inside),
        ({"guidance_scale": 2.0, "threshold": 0.9}, 8),
        ({"sampler": "heun", "eta": None}, 7),
        ({"sampler": "heun", "eta": None, "guidance_scale": 2.0}, 14),
    ):
        assert evaluations(run, wish(run, **options)) == count, options


def test_what_is_asked_for_is_in_the_name_and_in_the_origin(run):
    full = wish(run, autoguidance=2.5, guidance_interval=(0.5, 3.0), threshold=0.995)
    name = "ddim-4-g1-s0-in0.5to3-auto2.5-threshold0.995-n6-label-3-8"
    assert file_name(run, full) == name
    model = run.model(device="cpu")
    of = origin(run, model, full)
    assert of["request"]["guidance_interval"] == (0.5, 3.0)
    assert of["snapshot"] == json.loads(json.dumps(run._notes(run.snapshot_file)["sha256"]))
    assert "snapshot" not in origin(run, model, wish(run))
    options = ["--num", 6, "--label", 3, 8, "--autoguidance", 2.5, "--threshold", 0.995]
    options += ["--guidance-interval", 0.5, 3]
    assert ddpm("sample", "run", *options) == 0
    assert (run.samples / f"{name}.png").exists()
    assert ddpm("sample", "run", *options, "--out", "x.npz") == 0
    with np.load("x.npz") as arrays:
        expected = run.kind.encode(draw(run, model, full))
        assert np.array_equal(arrays["samples"], expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--guidance-interval", 3, 0.5], "guidance_interval must be LOW below HIGH, got 3 0.5"),
        (["--guidance-interval", -1, 0.5], "guidance_interval must be a finite number >= 0"),
        (["--guidance-interval", 0.5, "nan"], "guidance_interval must be a finite number >= 0"),
        (["--guidance-interval", 0.5, 3], "needs a guidance_scale or autoguidance other than 1"),
        (["--autoguidance", -1], "autoguidance must be a finite number >= 0, got -1"),
        (["--autoguidance", 2, "--guidance-scale", 2], "exclude each other; one must be 1"),
        (["--threshold", 0], "threshold must lie in (0, 1], got 0"),
        (["--threshold", 0.9, "--no-clip"], "takes the place of clipping, which is off"),
    ],
)
def test_what_cannot_be_is_refused(run, capsys, options, text):
    assert ddpm("sample", "run", "--num", 2, *options) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_run_without_a_snapshot_refuses_autoguidance(run, capsys):
    shutil.copytree("run", "lost")
    (run.path.parent / "lost" / "snapshot.safetensors").unlink()
    assert ddpm("sample", "lost", "--num", 2, "--autoguidance", 2) == 2
    assert "has no snapshot.safetensors to be guided by; it is written after epoch 2" in (
        capsys.readouterr().err
    )
    without = {**SMALL["training"], "snapshot": None}
    (run.path.parent / "none.json").write_text(json.dumps(SMALL | {"training": without}))
    for file, epochs in (("small.json", 1), ("none.json", 3)):
        options = ["--sampling.autoguidance", 2, "--epochs", epochs]
        assert train("none", *options, file=file) == 2
        assert "needs a run that keeps a snapshot; train one with --training.snapshot" in (
            capsys.readouterr().err
        )
        assert not (run.path.parent / "none").exists()


def test_a_run_may_say_so_itself_and_previews_do_without(run):
    options = ["--sampling.autoguidance", 2, "--sampling.guidance-interval", 0.3, 2]
    assert train("own", *options) == 0
    own = Run("own").config.sampling
    assert (own.autoguidance, own.guidance_interval) == (2.0, (0.3, 2.0))
    # Another scale leaves nothing to keep in the run's own interval.
    assert ddpm("sample", "own", "--autoguidance", 1, "--num", 2) == 0
    assert completed(Run("own"), replace(own, autoguidance=1.0)).guidance_interval is None


def test_a_grid_of_scales_keeps_to_the_interval(run):
    options = ["--guidance-interval", 0.3, 2, "--out", "grid.png"]
    assert ddpm("sample", "run", "--grid", "label×guidance", *options) == 0


def test_requests_are_equal_where_nothing_is_asked():
    assert Sampling().guidance_interval is Sampling().threshold is None
    assert Sampling().autoguidance == 1
