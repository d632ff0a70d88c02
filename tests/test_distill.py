"""ddpm distill: from a finished run to one that samples in a few steps, resumed and scored."""

import json
import warnings

import pytest
import torch
from PIL import Image

from denoising_diffusion.cli import main
from denoising_diffusion.files import read_tensors
from denoising_diffusion.run import Run
from denoising_diffusion.run.build import build_diffusion, take_over
from denoising_diffusion.run.distill import distilled
from denoising_diffusion.run.folder import RAW, weights_prefix
from denoising_diffusion.run.request import segments_of

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
    "schedule": {"timesteps": 10},
    "training": {"warmup_steps": 5, "precision": "float32", "epochs": 4},
    "sampling": {"steps": 4, "num": 40, "guidance_scale": 2.0},
}


def ddpm(*arguments):
    """The exit code of a command in this process, in its working folder."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(warnings, "showwarning", warnings.showwarning)
        (folder / "small.json").write_text(json.dumps(SMALL))
        known = ["train", "digits", "--config", "small.json", "--no-evaluate"]
        assert ddpm(*known, "--out", "run") == 0
        assert ddpm("distill", "run", "--epochs", 4) == 0
        Image.new("L", (8, 8), 255).save("8.png")
    return folder


@pytest.fixture
def place(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    return folder


def test_the_new_run_says_what_it_is(place, capsys):
    old, new = Run("run"), Run("run-distilled")
    config = new.config
    assert config.training.init == str(place / "run")
    assert config.training.seen == old.config.total_steps * 64
    assert config.training.epochs == 4
    assert (config.data, config.network) == (old.config.data, old.config.network)
    assert (config.sampling.sampler, config.sampling.steps) == ("ddim", 2)
    assert config.sampling.guidance_scale == 1
    own = {"name": "consistency", "segments": 2, "guidance_scale": 2.0}
    assert config.training.objective == own
    assert distilled("run").training.epochs == 1  # a fourth
    assert distilled("run", guidance_scale=1).training.objective == {
        k: own[k] for k in ("name", "segments")
    }
    assert new.finished
    assert new.evaluated
    scores = json.loads(new.evaluation_file.read_text())
    assert (scores["network_evaluations"], scores["num_samples"]) == (2, 40)
    assert ddpm("info", "run-distilled") == 0
    out = capsys.readouterr().out
    assert f"consistency, from {place / 'run'}" in out
    total = config.training.seen + config.total_steps * 64
    assert f"{total:,} examples" in out


def test_its_checkpoint_holds_the_teacher_which_no_step_moved(place):
    kept = read_tensors(Run("run").model_file).tensors
    stored = Run("run-distilled").read_checkpoint().tensors
    assert all(
        torch.equal(stored[weights_prefix("teacher") + k.removeprefix(weights_prefix(RAW))], v)
        for k, v in kept.items()
    )


def test_it_begins_with_the_averaged_weights(place):
    model = build_diffusion(Run("run-distilled").config)
    take_over(model, Run("run-distilled").config.training.init)
    kept = read_tensors(Run("run").model_file).tensors
    assert all(torch.equal(v, kept[f"model.{k}"]) for k, v in model.state_dict().items())
    moved = read_tensors(Run("run-distilled").model_file).tensors
    assert any(not torch.equal(moved[k], v) for k, v in kept.items())


def test_it_is_sampled_evaluated_and_lengthened_as_any_run(place):
    assert ddpm("sample", "run-distilled", "--num", 4, "--out", "two.npz") == 0
    assert ddpm("sample", "run-distilled", "--num", 4, "--steps", 4, "--label", 3) == 0
    assert Run("run-distilled").samples.joinpath("ddim-4-g1-s0-n4-label-3.png").exists()
    one = ["--steps", 1, "--epochs", 1, "--no-evaluate"]
    assert ddpm("distill", "run", "--out", "one", *one) == 0
    wish = Run("one").config.sampling
    assert (wish.sampler, wish.steps, segments_of(Run("one").config)) == ("ddim", 1, 1)
    assert ddpm("evaluate", "run-distilled", "--num", 20) == 0
    assert ddpm("distill", "run", "--out", "short", "--epochs", 1, "--no-evaluate") == 0
    assert ddpm("resume", "short", "--epochs", 2, "--no-evaluate") == 0
    assert len(Run("short").history.read()) == 2


@pytest.mark.parametrize("saves", [1, 3])
def test_killed_and_started_again_it_is_the_same_to_the_bit(place, monkeypatch, saves):
    true, calls = Run.write_checkpoint, []

    def dies(self, *args):
        calls.append(args)
        if len(calls) == saves:
            raise KeyboardInterrupt
        true(self, *args)

    out = f"killed{saves}"
    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_checkpoint", dies)
        assert ddpm("distill", "run", "--epochs", 4, "--out", out, "--no-evaluate") == 130
    assert ddpm("resume", out, "--no-evaluate") == 0
    one, two = (read_tensors(Run(r).model_file).tensors for r in ("run-distilled", out))
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["distill", "nowhere"], "nowhere is no run folder"),
        (["distill", "run-distilled"], "run-distilled is distilled already"),
        (["distill", "run", "--epochs", 0], "epochs must be at least 1, got 0"),
        (["distill", "run", "--out", "run"], "run holds a run of another configuration"),
        (["evaluate", "run-distilled", "--likelihood"], "learned by consistency"),
        (
            ["sample", "run-distilled", "--between", 1, 2],
            "--between needs estimates that are means",
        ),
        (["sample", "run-distilled", "--inpaint", "8.png", "--mask", "8.png"], "--inpaint needs"),
        (
            ["sample", "run-distilled", "--restore", "8.png", "--operator", "pool2"],
            "--restore needs",
        ),
        (["sample", "run-distilled", "--sampler", "ddpm"], "sampler ddpm needs"),
        (["sample", "run-distilled", "--eta", 1], "sampler ddim, times uniform, eta 1 needs"),
        (["sample", "run-distilled", "--times", "karras"], "sampler ddim, times karras needs"),
        (["sample", "run-distilled", "--steps", 3], "steps must be a multiple of 2, in which"),
        (["distill", "run", "--steps", 0], "steps must lie in 1..10, the model's timesteps, got 0"),
        (["sample", "run-distilled", "--guidance-scale", 2], "guidance needs"),
        (["sample", "run-distilled", "--grid", "label×guidance"], "guidance needs"),
        (["tune", "run-distilled"], "ddpm tune needs"),
        (["evaluate", "run-distilled", "--sampler", "dpmpp-2m"], "sampler dpmpp-2m needs"),
        (
            ["train", "digits", "--training.objective", "consistency", "--out", "none"],
            "training.objective consistency needs training.init",
        ),
    ],
)
def test_what_cannot_be_is_refused(place, capsys, arguments, text):
    assert ddpm(*arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert text in error
    if "needs" in text and "training" not in text:
        assert error.endswith(f"ask the run that it was distilled from, {place / 'run'}")
    assert not (place / "none").exists()


def test_a_run_that_is_not_finished_is_refused(place, capsys):
    run = Run("unfinished")
    run.create(Run("run").config)
    assert ddpm("distill", "unfinished") == 2
    assert (
        "unfinished is not finished; go on with ddpm resume unfinished" in capsys.readouterr().err
    )
