"""The commands over IDX images: training, scores, comparing pictures, damage and processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.config import Sampling
from denoising_diffusion.data.idx import PARTS
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.run import Run, load
from denoising_diffusion.run import score as scoring
from denoising_diffusion.run.show import SCALES
from test_idx import pack, small_set
from test_runs import ddpm

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2], "middle_blocks": 1},
    "schedule": {"timesteps": 6},
    "training": {"epochs": 2, "precision": "float32", "warmup_steps": 2, "batch_size": 16},
    "sampling": {"steps": 3, "num": 20},
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    small_set(folder / "mine", train=60, test=24)
    (folder / "small.json").write_text(json.dumps(SMALL))
    done = ddpm(*_train("run"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def _train(out, *more):
    options = ["train", "numbers", "--data", "mine", "--config", "small.json", "--out", out]
    return [*options, *more]


def test_any_idx_set_trains_and_is_written_down(workplace):
    config = json.loads((workplace / "run" / "config.json").read_text())
    assert config["data"]["path"] == str(workplace / "mine")
    assert config["facts"]["name"] == "idx"
    assert config["facts"]["class_names"] == ["0", "1", "2"]
    assert len(config["facts"]["fingerprint"]) == 64
    found = {p.name.split("-")[-1] for p in (workplace / "run" / "samples").glob("evaluation-*")}
    assert {"nearest.png", "confusion.png"} <= found
    assert "classes.png" not in found  # its shares would be those that were asked for


def test_evaluate_prints_one_object_and_draws_once(workplace):
    options = ["evaluate", "run", "--num", 24, "--classic", "--lenet-seeds", 2, "--json"]
    first = ddpm(*options, cwd=workplace)
    assert first.returncode == 0, first.stderr
    scores = json.loads(first.stdout)
    assert scores["num_samples"] == 24
    assert set(scores["classic"]) == {"fld", "fld_interval", "random"}
    assert scores["fld"] in scores["fld_by_classifier"]
    drawn = {p: p.stat().st_mtime_ns for p in (workplace / "run" / "samples").glob("*.npz")}
    again = ddpm(*options, cwd=workplace)
    assert json.loads(again.stdout) == scores
    assert {p: p.stat().st_mtime_ns for p in drawn} == drawn

    (file,) = (p for p in drawn if len(np.load(p)["samples"]) == 24)
    by_file = ddpm("evaluate", file, "--json", "--classic", "--lenet-seeds", 2, cwd=workplace)
    assert json.loads(by_file.stdout)["fld"] == scores["fld"]
    table = ddpm("evaluate", file, cwd=workplace).stdout
    assert "Fréchet distance" in table
    assert "density" in table
    assert "coverage" in table


def test_held_out_images_are_compared_with_where_that_is_asked_for(workplace):
    seen = {}
    for against in ("test", "held-out"):
        done = ddpm("evaluate", "run", "--against", against, "--json", cwd=workplace)
        assert done.returncode == 0, done.stderr
        seen[against] = json.loads(done.stdout)
    assert seen["test"]["against"] == "idx, 24 test"
    assert seen["held-out"]["against"] == "idx, 6 held-out"
    assert seen["held-out"]["num_samples"] == 6  # as many as there are
    assert all(s["judge"].startswith("own LeNet5, seed 0") for s in seen.values())
    assert seen["test"]["floor"] != seen["held-out"]["floor"]
    files = (workplace / "run" / "samples").glob("*.npz")
    (drawn,) = (f for f in files if len(np.load(f)["samples"]) == 6)
    assert drawn.with_name(f"{drawn.stem}-held-out-nearest.png").exists()
    own = json.loads((workplace / "run" / "evaluation.json").read_text())
    assert own["against"] == "idx, 24 test"
    table = ddpm("evaluate", drawn, "--against", "held-out", cwd=workplace).stdout
    assert "judge " in table and "idx, 6 held-out" in table
    wrong = ddpm("evaluate", drawn, "--against", "train", cwd=workplace)
    assert wrong.returncode == 2 and "against" in wrong.stderr


def test_guidance_pictures_have_a_column_per_scale(workplace):
    done = ddpm("sample", "run", "--grid", "label×guidance", "--out", "g.png", cwd=workplace)
    assert done.returncode == 0, done.stderr
    done = ddpm(
        "sample", "run", "--strip", "guidance", "--label", 2, "--out", "s.png", cwd=workplace
    )
    assert done.returncode == 0, done.stderr
    grid, strip = (np.asarray(Image.open(workplace / n)) for n in ("g.png", "s.png"))
    assert grid.shape[1] == strip.shape[1] >= len(SCALES) * 56
    # Row 2 of the grid and the strip are the same label from the same noise.
    height = 4 * 28
    np.testing.assert_array_equal(grid[-height - 2 : -2], strip[-height - 2 : -2])


def test_forward_strip_and_double_gif(workplace):
    options = ["sample", "run", "--strip", "forward", "--label", 0, 1, "--out", "f.png"]
    assert ddpm(*options, cwd=workplace).returncode == 0
    options = ["sample", "run", "--num", 3, "--gif", "b.gif", "--gif-of", "both", "--out", "b.png"]
    assert ddpm(*options, cwd=workplace).returncode == 0
    with Image.open(workplace / "b.gif") as gif:
        assert gif.n_frames <= 4
        assert gif.size[1] > 2 * 56


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sample", "run", "--label", "12"], "unknown label '12'; this run has 0, 1, 2"),
        (["sample", "run", "--strip", "guidance", "--num", "3"], "takes no --num"),
        (["sample", "run", "--strip", "guidance", "--gif", "a.gif"], "exclude each other"),
        (["sample", "run", "--strip", "forward", "--label", "x"], "unknown label 'x'"),
        (
            ["evaluate", "run", "--lenet-seeds", "0"],
            "number of classifiers must lie in 1..1000, got 0",
        ),
        (["evaluate", "run", "--num", "25"], "num must lie in 2..24"),
        (["train", "numbers", "--data", "cut"], "cut/train-images-idx3-ubyte is cut short"),
        (["train", "numbers", "--data", "floats"], "holds float32; only IDX files of uint8"),
        (["train", "numbers", "--data", "unequal"], "unequal/train-images-idx3-ubyte has 60"),
        (["train", "numbers", "--data", "nowhere"], "nowhere is no folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(workplace, arguments, text):
    _spoilt_sets(workplace)
    done = ddpm(*arguments, cwd=workplace)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (workplace / "runs").exists()


def _spoilt_sets(folder):
    for name in ("cut", "floats", "unequal"):
        if not (folder / name).exists():
            small_set(folder / name, train=60, test=24)
    images = folder / "cut" / PARTS[0]
    images.write_bytes(images.read_bytes()[:1000])
    floats = pack(np.zeros((2, 3, 3), ">f4"), 0x0D)
    (folder / "floats" / PARTS[0]).write_bytes(floats)
    (folder / "unequal" / PARTS[1]).write_bytes(pack(np.zeros(59, np.uint8)))


@pytest.mark.parametrize("harm", ["cut", "version", "notes"])
def test_a_damaged_run_is_refused_in_one_line(workplace, tmp_path, harm):
    import shutil

    shutil.copytree(workplace / "run", tmp_path / "run")
    for file in (tmp_path / "run" / n for n in ("model.safetensors", "checkpoint.safetensors")):
        whole = file.read_bytes()
        changed = {
            "cut": whole[: len(whole) // 2],
            "version": whole.replace(b'format_version\\": 2', b'format_version\\": 7'),
            "notes": whole.replace(b'\\"step\\"', b'\\"stop\\"'),
        }[harm]
        assert changed != whole
        file.write_bytes(changed)
    command = ["resume", "run", "--epochs", "3"] if harm == "notes" else ["sample", "run"]
    done = ddpm(*command, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    expected = {
        "cut": "is damaged or no safetensors file",
        "version": "has format version 7, this program reads 2",
        "notes": "is damaged: its step is None",
    }[harm]
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_two_processes_train_sample_and_score_as_one(workplace, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "denoising_diffusion", *_train("two", "--threads", "1")],
        cwd=workplace,
        capture_output=True,
        text=True,
        # A cache of its own: classifiers are trained here too.
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path)},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Fréchet distance  ") == 1
    # Weights alone would mislead: a bias before a normalisation has no gradient but rounding, which
    # Adam blows up to full steps; it changes nothing that the network says.
    one, two = (load(workplace / r) for r in ("run", "two"))
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    t, labels = torch.full((4,), 3.0), torch.tensor([0, 1, 2, 3])
    torch.testing.assert_close(
        two.denoise(x, t, labels), one.denoise(x, t, labels), rtol=1e-3, atol=1e-3
    )
    scores = [json.loads((workplace / r / "evaluation.json").read_text()) for r in ("run", "two")]
    assert scores[1]["fld"] == pytest.approx(scores[0]["fld"], rel=0.02)
    lines = [
        len((workplace / r / "history.jsonl").read_text().splitlines()) for r in ("run", "two")
    ]
    assert lines == [2, 2]
    assert Run(workplace / "two").finished
    assert load(workplace / "two").num_timesteps == 6


def test_dry_run_prints_the_configuration_and_writes_nothing(tmp_path):
    done = ddpm("train", "spiral", "--epochs", 3, "--loss", "mae", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    config = json.loads(done.stdout)
    assert config["training"]["epochs"] == 3
    assert config["training"]["loss"] == "mae"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "written.json").write_text(done.stdout)
    again = ddpm("train", "spiral", "--config", "written.json", "--dry-run", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_without_a_number_as_many_are_scored_as_there_is_data(workplace, monkeypatch):
    run = Run(workplace / "run")
    run.config = replace(run.config, sampling=replace(run.config.sampling, num=500))
    asked = []
    monkeypatch.setattr(
        scoring, "draw_evaluation", lambda run, model, wish, data: asked.append(wish)
    )
    monkeypatch.setattr(scoring, "score", lambda *_: None)
    for wish in (Sampling(), Sampling(num=7)):
        scoring.evaluate_run(run, wish, None, Scoring(), torch.device("cpu"))
    assert [wish.num for wish in asked] == [24, 7]


def test_points_are_scored_as_json_and_a_run_is_moved_aside(tmp_path):
    small = {"data": {"size": 300}, "sampling": {"num": 200}, "training": {"batch_size": 100}}
    (tmp_path / "small.json").write_text(json.dumps(small))
    options = ["train", "spiral", "--config", "small.json", "--epochs", 1, "--out", "run"]
    assert ddpm(*options, cwd=tmp_path).returncode == 0
    done = ddpm("evaluate", "run", "--json", cwd=tmp_path)
    scores = json.loads(done.stdout)
    assert {"mean_distance", "arc_histogram_tv", "num_samples", "parameters"} <= set(scores)
    assert scores["num_samples"] == 200
    moved = ddpm(*options, "--seed", 1, "--overwrite", "--no-evaluate", cwd=tmp_path)
    assert moved.returncode == 0, moved.stderr
    seeds = [Run(tmp_path / n).config.training.seed for n in ("run.old", "run")]
    assert seeds == [0, 1]
