"""What was made from a run counts as long as it is what it was made from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from denoising_diffusion import locks
from denoising_diffusion.run import Run
from denoising_diffusion.run.artefacts import Artefacts
from kill_runs import without_times
from test_faults import SMALL
from test_runs import ddpm

TRAIN = ("train", "spiral", "--config", "small.json", "--out")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts")
    (folder / "small.json").write_text(json.dumps(SMALL))
    done = ddpm(*TRAIN, "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def place(template, tmp_path):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_file_counts_if_it_is_as_it_was_written_and_made_from_the_same(tmp_path):
    made = Artefacts(tmp_path)
    file, of = tmp_path / "a.txt", {"weights": "x", "scales": (1.0, 0.1)}
    assert not made.current(file, of)
    made.put(file, b"content", of)
    assert Artefacts(tmp_path).current(file, of)
    assert made.recorded(of) == [file]
    assert not made.current(file, {**of, "weights": "y"})
    file.write_bytes(b"edited")
    assert not made.current(file, of)
    (tmp_path / "origins.json").write_text("{")
    assert not made.current(file, of)


def test_a_file_that_was_recorded_and_not_written_is_missing(tmp_path, monkeypatch):
    def killed(path, content):
        if path.name == "a.txt":
            raise KeyboardInterrupt
        original(path, content)

    made, original = Artefacts(tmp_path), __import__("denoising_diffusion.files").files.write
    monkeypatch.setattr("denoising_diffusion.files.write", killed)
    (tmp_path / "a.txt").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        made.put(tmp_path / "a.txt", b"new", {})
    assert not made.current(tmp_path / "a.txt", {})
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_more_epochs_make_all_pictures_and_scores_anew(place):
    run = place / "run"
    names = ("samples.png", "reverse.gif", "history.png", "evaluation.json", "model.safetensors")
    before = {name: (run / name).read_bytes() for name in names}
    done = ddpm("resume", "run", "--epochs", 4, cwd=place)
    assert done.returncode == 0, done.stderr
    assert all((run / name).read_bytes() != old for name, old in before.items())
    shown = done.stdout.partition("look at:")[2].split()
    origins = json.loads((run / "origins.json").read_text())
    steps = {origins[os.path.relpath(place / file, run)]["from"]["step"] for file in shown}
    assert steps == {Run(run).config.total_steps}


@pytest.mark.parametrize("name", ["samples.png", "history.png", "forward.gif", "evaluation.json"])
@pytest.mark.parametrize("harm", ["removed", "edited"])
def test_what_is_missing_comes_back_as_it_was(place, name, harm):
    file = place / "run" / name
    before = file.read_bytes()
    if harm == "removed":
        file.unlink()
    else:
        file.write_bytes(before[:-1])
    assert ddpm(*TRAIN, "run", cwd=place).returncode == 0
    assert file.read_bytes() == before


def test_old_weights_under_a_new_number_of_epochs_are_not_a_finished_run(place):
    config = json.loads((place / "run" / "config.json").read_text())
    config["training"]["epochs"] = 3
    (place / "run" / "config.json").write_text(json.dumps(config))
    run = Run(place / "run")
    assert not run.finished
    assert not run.evaluated
    assert "finished       no" in ddpm("info", "run", cwd=place).stdout


def test_a_configuration_that_is_not_the_models_is_refused_by_the_key(place):
    config = json.loads((place / "run" / "config.json").read_text())
    config["sampling"]["seed"] = 5
    (place / "run" / "config.json").write_text(json.dumps(config))
    for command in ("info", "sample", "resume", "evaluate"):
        done = ddpm(command, "run", cwd=place)
        assert done.returncode == 2
        assert "sampling.seed is not as in model.safetensors" in done.stderr


def test_equal_runs_have_equal_bytes_in_every_file(place):
    assert ddpm(*TRAIN, "twin", cwd=place).returncode == 0
    names = {p.relative_to(place / "run") for p in (place / "run").rglob("*") if p.is_file()}
    assert names == {
        p.relative_to(place / "twin") for p in (place / "twin").rglob("*") if p.is_file()
    }
    for name in names - {next(n for n in names if n.name == "checkpoint.safetensors")}:
        timed = name.name in ("report.html", "origins.json")
        read = without_times if timed else Path.read_bytes
        one, other = (read(place / run / name) for run in ("run", "twin"))
        assert one == other, name


def test_the_second_sample_under_a_name_that_is_taken_gets_a_number(place):
    sample = ("sample", "run", "--num", 5)
    first = ddpm(*sample, cwd=place).stdout.strip()
    assert ddpm(*sample, cwd=place).stdout.strip() == first
    (place / first).write_bytes(b"mine")
    second = ddpm(*sample, cwd=place).stdout.strip()
    assert second == first.replace(".png", "-2.png")
    assert (place / first).read_bytes() == b"mine"


HOLD = """
import sys, time
from denoising_diffusion import locks
with locks.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(place):
    started = []

    def hold(path):
        command = [sys.executable, "-c", HOLD, str(path)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_of_two_commands_in_one_run_the_second_says_who_is_first(place, holder):
    other = holder(place / "run")
    before = {p: p.read_bytes() for p in (place / "run").rglob("*") if p.is_file()}
    for command in ((*TRAIN, "run"), (*TRAIN, "run", "--overwrite"), ("resume", "run")):
        done = ddpm(*command, cwd=place)
        assert done.returncode == 2
        assert f"run is being written by process {other.pid}" in done.stderr
    assert {p: p.read_bytes() for p in (place / "run").rglob("*") if p.is_file()} == before
    assert ddpm("sample", "run", "--num", 4, cwd=place).returncode == 0
    other.kill()
    other.wait()
    assert ddpm(*TRAIN, "run", cwd=place).returncode == 0
    assert not list(place.glob(".*"))


def test_of_two_samplings_into_one_file_the_second_is_refused(place, holder):
    holder(place / "s.npz")
    done = ddpm("sample", "run", "--num", 4, "--out", "s.npz", cwd=place)
    assert done.returncode == 2
    assert "s.npz is being written by process" in done.stderr
    assert ddpm("sample", "run", "--num", 4, "--out", "t.npz", cwd=place).returncode == 0


def test_a_lock_is_let_go_after_an_error(tmp_path):
    with pytest.raises(KeyError), locks.locked(tmp_path / "a"):
        raise KeyError
    with locks.locked(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_data_that_moved_is_found_again_if_it_is_the_same(place):
    rows = "\n".join(f"{i * 0.37 % 1},{i * 0.71 % 1}" for i in range(300))
    (place / "mine.csv").write_text(f"x,y\n{rows}\n")
    options = ["--network.hidden", 8, "--schedule.timesteps", 4, "--epochs", 1, "--no-evaluate"]
    options += ["--training.epoch-size", 300]
    done = ddpm("train", "points", "--data", "mine.csv", *options, "--out", "own", cwd=place)
    assert done.returncode == 0, done.stderr
    (place / "mine.csv").rename(place / "moved.csv")
    assert ddpm("resume", "own", cwd=place).returncode == 2
    (place / "other.csv").write_text(f"x,y\n{rows}\n5,5\n")
    done = ddpm("resume", "own", "--data", "other.csv", cwd=place)
    assert done.returncode == 2
    assert "has changed since the run began" in done.stderr
    done = ddpm("resume", "own", "--data", "moved.csv", "--no-evaluate", cwd=place)
    assert done.returncode == 0, done.stderr
    assert ddpm("resume", "own", "--no-evaluate", cwd=place).returncode == 0
