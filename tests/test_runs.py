import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from denoising_diffusion.run import Run, load

SMALL = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
    "schedule": {"timesteps": 10},
    "training": {"warmup_steps": 5, "precision": "float32"},
    "sampling": {"steps": 2, "num": 40},
}


def ddpm(*arguments, cwd):
    command = [sys.executable, "-m", "denoising_diffusion", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def train_command(folder, out, epochs):
    (folder / "small.json").write_text(json.dumps(SMALL))
    return ["train", "digits", "--config", "small.json", "--out", out, "--epochs", str(epochs)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = ddpm(*train_command(folder, "run", 3), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_leaves_all_its_files_and_prints_results_alone(workplace):
    run = workplace / "run"
    names = "config.json history.jsonl checkpoint.safetensors model.safetensors samples.png"
    for name in (names + " reverse.gif estimate.gif history.png evaluation.json").split():
        assert (run / name).stat().st_size > 0, name
    scores = json.loads((run / "evaluation.json").read_text())
    contract = (
        "fld fld_interval floor ceiling label_agreement num_samples parameters sampler steps "
        "network_evaluations"
    )
    assert set(contract.split()) <= set(scores)
    assert scores["floor"] < scores["fld"] < 2 * scores["ceiling"]
    assert scores["num_samples"] == 40
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert not list(run.glob(".*"))


def test_the_same_command_again_prints_the_table_again_and_trains_nothing(workplace):
    before = (workplace / "run" / "model.safetensors").stat().st_mtime_ns
    done = ddpm(*train_command(workplace, "run", 3), cwd=workplace)
    assert done.returncode == 0
    assert "Fréchet distance" in done.stdout
    assert (workplace / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_another_configuration_is_refused_by_the_key(workplace):
    done = ddpm(*train_command(workplace, "run", 4), cwd=workplace)
    assert done.returncode == 2
    assert "training.epochs differs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_killed_and_started_again_equals_never_stopped_bit_for_bit(workplace):
    command = [sys.executable, "-m", "denoising_diffusion"]
    command += train_command(workplace, "killed", 12)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=workplace, env=environment, stderr=subprocess.DEVNULL, text=True
    )
    history = workplace / "killed" / "history.jsonl"
    while not (history.exists() and history.read_text().count("\n") >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (workplace / "killed" / "model.safetensors").exists()
    assert ddpm(*train_command(workplace, "killed", 12), cwd=workplace).returncode == 0
    assert ddpm(*train_command(workplace, "whole", 12), cwd=workplace).returncode == 0
    for name in ("checkpoint.safetensors", "model.safetensors"):
        killed, whole = (load_file(workplace / run / name) for run in ("killed", "whole"))
        assert killed.keys() == whole.keys()
        assert all(torch.equal(killed[k], whole[k]) for k in whole)
    histories = [(workplace / run / "history.jsonl").read_text() for run in ("killed", "whole")]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_interrupted_in_the_middle_of_an_epoch_saves_says_how_to_go_on_and_resumes(workplace):
    command = [sys.executable, "-m", "denoising_diffusion"]
    command += train_command(workplace, "stopped", 12)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=workplace, env=environment, stderr=subprocess.PIPE, text=True
    )
    history = workplace / "stopped" / "history.jsonl"
    while not (history.exists() and history.read_text().count("\n") >= 1):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "ddpm resume stopped" in errors
    done = ddpm("resume", "stopped", "--no-evaluate", cwd=workplace)
    assert done.returncode == 0, done.stderr
    if not (workplace / "whole").exists():
        ddpm(*train_command(workplace, "whole", 12), cwd=workplace)
    stopped, whole = (
        load_file(workplace / run / "checkpoint.safetensors") for run in ("stopped", "whole")
    )
    assert all(torch.equal(stopped[k], whole[k]) for k in whole)


def test_samples_are_repeatable_labelled_and_never_overwritten_silently(workplace):
    options = ["sample", "run", "--num", 6, "--label", "7", "2", "none", "--out", "s.npz"]
    assert ddpm(*options, cwd=workplace).returncode == 0
    with np.load(workplace / "s.npz", allow_pickle=False) as file:
        assert set(file) == {"samples", "labels", "seeds"}
        assert file["samples"].shape == (6, 8, 8, 1)
        assert file["samples"].dtype == np.uint8
        assert file["labels"].tolist() == ["7", "2", "none", "7", "2", "none"]
        first = file["samples"].copy()
    again = ddpm(*options, cwd=workplace)
    assert (again.returncode, again.stdout) == (0, "s.npz\n")
    assert again.stderr == "ddpm: s.npz is there already\n"
    other = ddpm(*options, "--seed", 1, cwd=workplace)
    assert other.returncode == 2
    assert "s.npz exists; --overwrite replaces it" in other.stderr
    assert ddpm(*options, "--overwrite", cwd=workplace).returncode == 0
    with np.load(workplace / "s.npz", allow_pickle=False) as file:
        assert np.array_equal(file["samples"], first)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sample", "run", "--label", "12"], "unknown label '12'; this run has 0, 1, 2"),
        (["sample", "run", "--steps", "11"], r"steps must lie in 1..10"),
        (["sample", "run", "--eta", "2"], "eta must lie in [0, 1], got 2"),
        (["sample", "run", "--num", "0"], "num must be at least 1, got 0"),
        (
            ["sample", "run", "--out", "x.jpg"],
            "x.jpg: the name must end in .png or .svg or .pdf or .npz",
        ),
        (["sample", "nowhere"], "nowhere is no run folder"),
        (["evaluate", "missing.npz"], "missing.npz does not exist"),
        (["evaluate", "run", "--num", "5000"], "num must lie in 2..898"),
        (["train", "digit"], "recipe must be one of digits, numbers"),
        (["train", "points"], "the recipe points needs --data"),
        (["train", "digits", "--data", "x.csv"], "data digits takes no path"),
        (["train", "digits", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["train", "digits", "--threads", "0"], "--threads must lie in 1..1024, got 0"),
        (["info", "nowhere"], "nowhere is no run folder"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_writes_nothing(workplace, arguments, text):
    before = sorted(p for p in workplace.rglob("*"))
    done = ddpm(*arguments, cwd=workplace)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.startswith("ddpm: error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert sorted(p for p in workplace.rglob("*")) == before


def test_evaluate_prints_one_json_object(workplace):
    done = ddpm("evaluate", "run", "--json", "--num", 30, cwd=workplace)
    assert json.loads(done.stdout)["num_samples"] == 30


def test_a_checkpoint_cut_in_half_is_refused(workplace, tmp_path):
    data = (workplace / "run" / "model.safetensors").read_bytes()
    target = tmp_path / "broken"
    Run(target).create(Run(workplace / "run").config)
    (target / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        load(target)


def test_load_gives_the_model_that_samples(workplace):
    model = load(workplace / "run", device="cpu")
    raw = load(workplace / "run", average="raw", device="cpu")
    assert model.data_shape == (1, 8, 8)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (model, raw)]
    assert not torch.equal(*weights)


def test_info_recipes_and_version_answer(workplace):
    assert "classes" in ddpm("info", "run", cwd=workplace).stdout
    assert "spiral-classic" in ddpm("recipes", cwd=workplace).stdout
    assert ddpm("--version", cwd=workplace).stdout.startswith("ddpm ")
