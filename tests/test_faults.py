"""Wrong and unlucky input at the command line, each with its right answer."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion.files import read_tensors, write_tensors
from denoising_diffusion.locks import locked
from denoising_diffusion.run import Run, load
from denoising_diffusion.run.place import check_folder
from test_idx import small_set
from test_runs import ddpm

SMALL = {
    "data": {"size": 300},
    "network": {"hidden": 8, "num_layers": 1},
    "schedule": {"timesteps": 5},
    "training": {"epochs": 2, "batch_size": 100, "warmup_steps": 0},
    "sampling": {"num": 60},
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "small.json").write_text(json.dumps(SMALL))
    for out in ("one", "two"):
        done = ddpm("train", "patterns", "--config", "small.json", "--out", out, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_equal_runs_have_equal_bytes(workplace):
    for name in ("model.safetensors", "config.json", "history.jsonl", "samples.png"):
        one, two = ((workplace / run / name).read_bytes() for run in ("one", "two"))
        assert one == two, name


def test_every_key_of_the_configuration_is_an_option(tmp_path):
    options = ["--training.learning-rate", "5e-4", "--network.hidden", 12, "--training.loss", "mae"]
    options += ["--schedule.timesteps", 7, "--data.size", 400, "--sampling.sampler", "ddim"]
    done = ddpm("train", "spiral", *options, "--epochs", 3, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)
    assert config["training"]["learning_rate"] == 5e-4
    assert config["training"]["loss"] == "mae"
    assert config["training"]["epochs"] == 3
    assert config["network"]["hidden"] == 12
    assert config["schedule"]["timesteps"] == 7
    assert config["data"] == {"name": "spiral", "size": 400, "seed": 0}
    assert config["sampling"]["sampler"] == "ddim"


def test_options_are_laid_over_the_file_and_that_over_the_recipe(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"training": {"epochs": 9, "batch_size": 7}}))
    arguments = ["train", "spiral", "--config", "c.json", "--training.batch-size", 8, "--dry-run"]
    training = json.loads(ddpm(*arguments, cwd=tmp_path).stdout)["training"]
    assert (training["epochs"], training["batch_size"], training["prediction"]) == (9, 8, "v")


def test_a_choice_may_have_options(tmp_path):
    weight = '{"name": "uniform"}'
    done = ddpm("train", "spiral", "--training.times", weight, "--dry-run", cwd=tmp_path)
    assert json.loads(done.stdout)["training"]["times"] == {"name": "uniform"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "digitz"], "got 'digitz'; did you mean digits?"),
        (["train", "--lr", "3", "digits"], "unknown option --lr; every key of the configuration"),
        (["train", "digits", "--learning-rate", "3"], "did you mean --training.learning-rate?"),
        (["train", "digits", "--epochs", "many"], "--epochs: no type matching INT"),
        (["train", "digits", "--training.times", "sometimes"], "training.times must be one of"),
        (["train", "digits", "--network.hiden", "3"], "unknown option --network.hiden"),
        (["train", "digits", "--device", "tpu"], "--device"),
        (["train", "digits", "extra"], "unexpected argument 'extra'"),
        (["train", "points", "--config", "one/config.json"], "of the recipe patterns, not points"),
        (["sample", "one", "--sampler", "dpm"], "sampler must be one of ddpm"),
        (["sample", "one", "--average", "power-0.05"], "average must be one of ema, raw"),
        (["sample", "one", "--eta", "0.5"], "sampler ddpm takes no eta, got 0.5"),
        (["sample", "one", "--num", "1" + "0" * 30], "num must be at most 1000000000"),
        (["sample", "one", "--seed", str(2**63)], "seed must lie in 0..9223372036854775807"),
        (["sample", "one", "--device", "cuda"], "device cuda is not available here"),
        (["sample", "one", "--threads", "0"], "--threads must lie in 1..1024, got 0"),
        (["sample", "one", "--grid", "label×guidance"], "this run has points"),
        (["evaluate", "one", "--threads", "0"], "--threads must lie in 1..1024, got 0"),
        (["sample"], "RUN"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(workplace, arguments, text):
    before = sorted(workplace.rglob("*"))
    done = ddpm(*arguments, cwd=workplace)
    assert done.returncode == 2
    assert done.stderr.startswith("ddpm: error: ")
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(workplace.rglob("*")) == before


def test_a_run_of_the_first_format_is_refused_by_name_with_the_remedy(workplace, tmp_path):
    shutil.copytree(workplace / "one", tmp_path / "old")
    file = tmp_path / "old" / "config.json"
    config = json.loads(file.read_text())
    del config["format_version"]
    file.write_text(json.dumps(config))
    for command in (["info"], ["sample"], ["resume"], ["evaluate"]):
        done = ddpm(*command, "old", cwd=tmp_path)
        assert done.returncode == 2
        text = "old/config.json has format version 1, this program reads 2; train it again"
        assert text in done.stderr


def test_a_network_that_nobody_registered_is_refused_by_its_name(workplace, tmp_path):
    shutil.copytree(workplace / "one", tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    for name in ("mine", "os:system", "../evil.py:Net"):
        config["network"] = {"kind": name}
        file.write_text(json.dumps(config))
        with pytest.raises(ValueError, match="network.kind must be one of unet, .*, got"):
            load(tmp_path / "run")


@pytest.mark.parametrize("harm", ["optimizer", "shape", "type", "extra"])
def test_a_checkpoint_is_complete_and_of_this_run_or_refused_and_nothing_changes(
    workplace, tmp_path, harm
):
    shutil.copytree(workplace / "one", tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.safetensors"
    tensors, notes = read_tensors(file)
    if harm == "optimizer":
        tensors = {k: v for k, v in tensors.items() if not k.startswith("optimizer")}
    name = next(k for k in tensors if k.startswith("model."))
    if harm == "shape":
        tensors[name] = tensors[name][:1]
    if harm == "type":
        tensors[name] = tensors[name].double()
    if harm == "extra":
        tensors["model.more"] = tensors[name]
    write_tensors(file, tensors, notes)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    done = ddpm("resume", "run", "--epochs", 4, cwd=tmp_path)
    assert done.returncode == 2
    assert "the stored weights do not fit the configuration" in done.stderr
    after = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert after == before


def test_more_epochs_make_everything_anew(workplace, tmp_path):
    shutil.copytree(workplace / "one", tmp_path / "run")
    run = tmp_path / "run"
    names = ("samples.png", "model.safetensors", "evaluation.json", "reverse.gif", "history.png")
    before = {n: (run / n).read_bytes() for n in names}
    assert ddpm("resume", "run", "--epochs", 4, cwd=tmp_path).returncode == 0
    assert all((run / n).read_bytes() != before[n] for n in names)
    whole = ddpm(
        "train", "patterns", "--config", workplace / "small.json", "--epochs", 4, "--out", "whole",
        cwd=tmp_path,
    )  # fmt: skip
    assert whole.returncode == 0
    assert Run(run).config.training.epochs == 4


def test_the_second_thing_that_is_asked_for_has_a_name_of_its_own(workplace):
    for label in ("spiral", "moons"):
        done = ddpm("sample", "one", "--label", label, "--num", 20, cwd=workplace)
        assert done.returncode == 0, done.stderr
        assert f"label-{label}" in done.stdout


def test_info_tells_score_sampler_size_and_time(workplace):
    text = ddpm("info", "one", cwd=workplace).stdout
    for word in ("mean distance", "ddpm, 5 steps", "parameters", "size on disk", "training time"):
        assert word in text


def test_the_folder_in_which_one_stands_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Run(".").path == Run("samples/..").path == tmp_path.resolve()
    refused = pytest.raises(ValueError, match="/ cannot be written: it is no file or folder of its")
    with refused, locked("/"):
        pass


def test_what_a_run_needs_is_not_moved_aside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "run")
    (run.path / "data").mkdir(parents=True)
    for name in ("data.path", "training.init"):
        for place in (run.path, run.path / "data"):
            with pytest.raises(ValueError, match=f"move .*run aside, and with it {name}, .*run"):
                check_folder(run, True, {name: str(place)})
    check_folder(run, True, {"data.path": str(tmp_path / "runner"), "training.init": None})
    monkeypatch.chdir(run.path / "data")
    with pytest.raises(ValueError, match="with it the working folder, .*data; take another --out"):
        check_folder(Run(".."), True, {})
    check_folder(Run("."), True, {})  # nothing is moved
    with pytest.raises(ValueError, match="is no UTF-8, and weights"):
        check_folder(Run(os.fsdecode(b"r\xff")), False, {})


def test_few_distinct_pictures_are_scored_with_what_is_defined(tmp_path):
    small_set(tmp_path / "mine", train=60, test=24)
    images = tmp_path / "mine" / "train-images-idx3-ubyte"
    raw = images.read_bytes()
    one = raw[16 : 16 + 28 * 28]
    images.write_bytes(raw[:16] + one * 60)
    small = {
        "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
        "schedule": {"timesteps": 4},
        "training": {"epochs": 1, "precision": "float32", "warmup_steps": 0},
        "sampling": {"steps": 2, "num": 20},
    }
    (tmp_path / "small.json").write_text(json.dumps(small))
    options = ["train", "numbers-unet", "--data", "mine", "--config", "small.json", "--out", "run"]
    done = ddpm(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert scores["memorisation_pixels"] is None
    assert "–" in done.stdout


def test_too_few_images_are_scored_as_far_as_they_go(tmp_path):
    small_set(tmp_path / "mine", train=60, test=24)
    small = {
        "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
        "schedule": {"timesteps": 4},
        "training": {"epochs": 1, "precision": "float32", "warmup_steps": 0},
        "sampling": {"steps": 2},
    }
    (tmp_path / "small.json").write_text(json.dumps(small))
    options = ["train", "numbers-unet", "--data", "mine", "--config", "small.json", "--out", "run"]
    done = ddpm(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 samples will be scored, not 10,000" in done.stderr
    out = tmp_path / "order.png"
    labels = ["2", "0", "2", "1", "0"]
    done = ddpm("sample", "run", "--label", *labels, "--num", 5, "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # Asked for in no order of classes: one tile after the other, each with its name above it.
    with Image.open(out) as picture:
        assert picture.size[1] > 3 * 56
        assert np.asarray(picture).std() > 0
