"""The commands over super-resolution: training, pictures, files, cascades, refusals."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.cli import main
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.data.pictures import read_pictures
from denoising_diffusion.files import read_npz
from denoising_diffusion.run import Run
from denoising_diffusion.run.draw import draw
from denoising_diffusion.run.enlarge import CASCADE_LEVEL
from denoising_diffusion.run.inputs import of_pictures
from denoising_diffusion.run.request import completed
from denoising_diffusion.super_resolution import pooled

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2], "middle_attention": False},
    "schedule": {"timesteps": 6},
    "training": {"epochs": 1, "precision": "float32", "warmup_steps": 2, "batch_size": 64},
    "sampling": {"steps": 2, "num": 32},
}


def ddpm(*arguments):
    """The exit code of a command in this process, in its working folder."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A run that enlarges digits from 4×4, and one that draws 4×4."""
    folder = tmp_path_factory.mktemp("enlarge")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "small.json").write_text(json.dumps(SMALL))
        options = ["--config", "small.json", "--device", "cpu"]
        train = ["train", "digits", *options]
        assert ddpm(*train, "--super-resolution", 2, "--out", "sr") == 0
        assert ddpm(*train, "--out", "plain", "--no-evaluate") == 0
        low = pooled(whole(load_dataset("digits").train)[0], 2)
        files = folder / "pictures"
        files.mkdir()
        levels = ((low + 1) * 127.5).round().byte()[:60, 0].numpy()
        for i, picture in enumerate(levels):
            Image.fromarray(picture).save(files / f"{i:02d}.png")
        own = ["train", "folder", "--data", "pictures", "--size", 4, *options, "--out", "low"]
        assert ddpm(*own, "--no-evaluate", "--training.batch-size", 8) == 0
    return folder


@pytest.fixture
def here(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return workplace


def test_a_run_ends_with_scores_and_a_picture_beside_the_truth(here):
    run = Run(here / "sr")
    assert run.config.network["factor"] == 2
    assert run.config.factor == 2
    scores = json.loads((run.path / "evaluation.json").read_text())
    keys = "psnr psnr_interval psnr_single psnr_bicubic ssim ssim_single ssim_bicubic"
    assert set((keys + " consistency colour colour_bias spread num_samples").split()) <= set(scores)
    assert scores["num_samples"] == 32
    # A row each for 8 pictures: input, 4 samples, truth, bicubic, all of 8×8 drawn fourfold.
    with Image.open(run.path / "samples.png") as picture:
        assert picture.size[0] >= 7 * 32
        assert picture.size[1] >= 8 * 32
    assert run.evaluated


def test_answers_to_an_npz_come_in_its_order_each_as_often_as_asked(here):
    held = whole(load_dataset("digits").validation)[0][:3]
    low = ((pooled(held, 2) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    np.savez(here / "in.npz", samples=low)
    options = ["sample", "sr", "--from", "in.npz", "--out"]
    assert ddpm(*options, "three.npz", "--per-input", 2) == 0
    found = read_npz(here / "three.npz")
    assert found["samples"].shape == (6, 8, 8, 1)
    assert found["samples"].dtype == np.uint8
    assert list(found["labels"]) == ["none"] * 6
    # Sample i is drawn from the stream of its own number and from picture i // 2 alone.
    run = Run(here / "sr")
    origin = run.artefacts.origin(here / "three.npz")
    assert len(origin["inputs"]["sha256"]) == 64
    assert origin["inputs"]["per_input"] == 2
    np.savez(here / "swapped.npz", samples=low[[0, 1, 0]])
    assert ddpm("sample", "sr", "--from", "swapped.npz", "--per-input", 2, "--out", "s.npz") == 0
    swapped = read_npz(here / "s.npz")["samples"]
    assert np.array_equal(swapped[:4], found["samples"][:4])
    assert not np.array_equal(swapped[4:], found["samples"][4:])


def test_the_same_command_draws_once_and_other_pictures_are_another_file(here, capsys):
    command = ["sample", "sr", "--from", "pictures/00.png", "--per-input", 2]
    assert ddpm(*command) == 0
    first = capsys.readouterr().out.strip()
    assert ddpm(*command) == 0
    again = capsys.readouterr()
    assert again.out.strip() == first
    assert "is there already" in again.err
    assert ddpm("sample", "sr", "--from", "pictures/01.png", "--per-input", 2) == 0
    assert capsys.readouterr().out.strip() != first
    with Image.open(here / first) as picture:
        assert picture.size[0] >= 4 * 32


def test_labels_stand_beside_pictures(here):
    options = ["--from", "pictures/00.png", "--per-input", 3, "--label", "4", "--out", "l.npz"]
    assert ddpm("sample", "sr", *options, "--guidance-scale", 1.5) == 0
    assert list(read_npz(here / "l.npz")["labels"]) == ["4"] * 3


def test_a_folder_of_pictures_is_read_in_order_in_any_mode(here, tmp_path):
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    Image.fromarray(grey).save(tmp_path / "b.png")
    Image.fromarray(np.stack([grey] * 3, 2)).save(tmp_path / "a.png")
    clear = np.dstack([grey, grey, grey, np.zeros_like(grey)])
    Image.fromarray(clear).save(tmp_path / "c.png")
    found, names = read_pictures(tmp_path, (1, 4, 4))
    assert names == ("a", "b", "c")
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[1][..., 0], grey)
    assert (found[2] == 255).all()
    assert read_pictures(tmp_path, (3, 4, 4))[0].shape == (3, 4, 4, 3)


def test_without_pictures_held_out_ones_are_enlarged(here):
    assert ddpm("sample", "sr", "--num", 6, "--per-input", 3, "--out", "own.npz") == 0
    assert len(read_npz(here / "own.npz")["samples"]) == 6
    assert ddpm("sample", "sr", "--gif", "own.gif", "--out", "own.png") == 0
    with Image.open(here / "own.gif") as gif:
        assert gif.n_frames > 1


def test_a_cascade_enlarges_what_the_first_run_draws(here):
    command = ["sample", "low", "--num", 3, "--seed", 5, "--then", "sr", "--per-input", 2]
    assert ddpm(*command, "--out", "c.npz") == 0
    found = read_npz(here / "c.npz")
    assert found["samples"].shape == (6, 8, 8, 1)
    low, run = Run(here / "low"), Run(here / "sr")
    origin = run.artefacts.origin(here / "c.npz")["inputs"]
    assert origin["level"] == CASCADE_LEVEL
    assert len(origin["drawn"]["weights"]) == 64
    assert origin["drawn"]["request"]["seed"] == 5
    # By hand: the first run's samples, in whole grey levels, with the noise of the level.
    wish = completed(low, replace(low.config.sampling, num=3, seed=5))
    small = low.kind.decode(low.kind.encode(draw(low, low.model(device="cpu"), wish)))
    inputs = replace(of_pictures(run.kind, small, 2), level=CASCADE_LEVEL)
    own = completed(run, replace(run.config.sampling, num=6, seed=5))
    with torch.inference_mode():
        x = draw(run, run.model(device="cpu"), own, inputs)
    assert np.array_equal(run.kind.encode(x), found["samples"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sample", "plain", "--from", "pictures"], "plain enlarges no pictures: it takes no --fr"),
        (["sample", "plain", "--per-input", "2"], "plain enlarges no pictures"),
        (["sample", "sr", "--from", "nowhere.npz"], "nowhere.npz: no such file"),
        (["sample", "sr", "--from", "nowhere"], "nowhere cannot be enlarged: no such file"),
        (["sample", "sr", "--from", "large"], "large/x.png cannot be enlarged: it has 5 × 4"),
        (["sample", "sr", "--from", "large.npz"], "holds pictures of 5 × 5 × 1, but 4 × 4 × 1 are"),
        (["sample", "sr", "--from", "empty"], "empty holds no pictures"),
        (["sample", "sr", "--from", "text.png"], "text.png cannot be enlarged: no picture"),
        (["sample", "sr", "--from", "pictures", "--num", "3"], "it takes no --num"),
        (["sample", "sr", "--from", "pictures", "--per-input", "0"], "--per-input must be at"),
        (["sample", "sr", "--num", "7"], "num must be 4 samples for each of some pictures, got 7"),
        (["sample", "sr", "--num", "36000"], "num must be at most 3592"),
        (["sample", "sr", "--grid", "labelxguidance"], "it takes no --strip guidance, no --grid"),
        (["sample", "sr", "--then", "plain"], "plain enlarges no pictures, so it cannot follow"),
        (["sample", "plain", "--then", "sr"], "plain draws images of 1 × 8 × 8, but sr enlarges"),
        (["sample", "sr", "--then", "sr"], "sr draws images of 1 × 8 × 8, but sr enlarges images"),
        (["sample", "low", "--then", "sr", "--from", "pictures"], "it takes no --from"),
        (["sample", "low", "--then", "nowhere"], "nowhere is no run folder"),
        (["evaluate", "sr", "--num", "40"], "num must be 16 samples for each of some pictures"),
        (["train", "digits", "--super-resolution", "3"], "factor must divide the 8 pixels"),
        (["train", "digits", "--super-resolution", "1"], "factor must be at least 2, got 1"),
        (["train", "spiral", "--super-resolution", "2"], "network super-resolution takes no"),
        (["train", "signals", "--super-resolution", "2"], "super-resolution needs images"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(here, capsys, arguments, text):
    for name, size in (("large", (4, 5)), ("empty", None)):
        (here / name).mkdir(exist_ok=True)
        if size:
            Image.fromarray(np.zeros(size, np.uint8)).save(here / name / "x.png")
    np.savez(here / "large.npz", samples=np.zeros((2, 5, 5, 1), np.uint8))
    (here / "text.png").write_text("no picture")
    before = {p for p in here.rglob("*") if p.name != ".lock"}
    assert ddpm(*arguments) == 2
    told = capsys.readouterr().err
    assert text in told
    assert len(told.strip().splitlines()) == 1
    assert {p for p in here.rglob("*") if p.name != ".lock"} == before


def test_a_run_that_never_hid_labels_or_pictures_refuses_what_needs_it(here, capsys):
    shutil.copytree(here / "sr", here / "seen", dirs_exist_ok=True)
    for name in ("model.safetensors", "checkpoint.safetensors"):
        (here / "seen" / name).unlink()
    config = json.loads((here / "seen" / "config.json").read_text())
    config["training"]["label_dropout"] = 0.0
    (here / "seen" / "config.json").write_text(json.dumps(config))
    assert ddpm("sample", "seen", "--from", "pictures/00.png") == 2
    assert "trained with label_dropout 0" in capsys.readouterr().err
    options = ["--label", "3", "--guidance-scale", 2]
    assert ddpm("sample", "seen", "--from", "pictures/00.png", *options) == 2
    assert "trained with label_dropout 0" in capsys.readouterr().err


def test_of_few_pictures_as_many_are_shown_as_were_held_out(here):
    files = here / "few"
    files.mkdir()
    for i in range(20):
        Image.new("L", (8, 8), 12 * i).save(files / f"{i:02d}.png")
    options = ["--config", "small.json", "--device", "cpu", "--size", 8, "--super-resolution", 2]
    train = ["train", "folder", "--data", "few", *options, "--training.batch-size", 8]
    assert ddpm(*train, "--out", "shown") == 0
    run = Run(here / "shown")
    assert run.artefacts.origin(run.path / "samples.png")["request"]["num"] == 2 * 4
    assert run.evaluated and run.report_file.exists()
