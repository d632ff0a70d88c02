"""Paths of data, and the source that takes them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from denoising_diffusion.recipes import recipe
from denoising_diffusion.run.settings import settled
from test_runs import ddpm


def path_of(config, data=None, file=None):
    return settled(config, data, file).data["path"]


def with_path(path, name="points"):
    config = recipe(name)
    return dataclasses.replace(config, data={**config.data, "path": path})


def test_a_path_is_stored_absolute_wherever_it_comes_from(tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work / "sub"):
        folder.mkdir(parents=True)
    (work / "a.csv").write_text("")
    (home / "a.csv").write_text("")
    (work / "link.csv").symlink_to(home / "a.csv")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for given, found in (
        ("a.csv", work / "a.csv"),
        ("sub/../a.csv", work / "a.csv"),
        ("./a.csv", work / "a.csv"),
        (str(work / "a.csv"), work / "a.csv"),
        ("~/a.csv", home / "a.csv"),
        ("link.csv", home / "a.csv"),
        ("nothing.csv", work / "nothing.csv"),
    ):
        assert path_of(with_path(given)) == str(found)
        assert path_of(recipe("points"), Path(given)) == str(found)
        assert path_of(with_path("other.csv"), Path(given)) == str(found)


def test_a_path_in_a_file_may_stand_beside_it(tmp_path, monkeypatch):
    file = tmp_path / "settings" / "c.json"
    file.parent.mkdir()
    (file.parent / "a.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    config = with_path("a.csv")
    assert path_of(config, None, file) == str(file.parent / "a.csv")
    assert path_of(config, None, Path("settings/c.json")) == str(file.parent / "a.csv")
    assert path_of(config, Path("a.csv"), file) == str(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("")  # the working folder comes first
    assert path_of(config, None, file) == str(tmp_path / "a.csv")
    assert path_of(with_path("b.csv"), None, file) == str(tmp_path / "b.csv")


def test_links_in_a_loop_and_names_that_no_file_has(tmp_path):
    loop = tmp_path / "a.csv"
    loop.symlink_to(loop)
    assert path_of(with_path(str(loop)))
    with pytest.raises(ValueError, match=r"data.path must be a path, got 'a\\x00b'"):
        path_of(with_path("a\0b"))
    assert settled(with_path(5), None).data["path"] == 5  # refused where it is read
    with pytest.raises(ValueError, match="the recipe points needs --data"):
        settled(recipe("points"), None)


def test_a_recipe_of_drawn_data_takes_a_path_where_its_name_does():
    data = settled(recipe("signals"), Path("/a/b.npy")).data
    assert data == {"name": "signals", "path": "/a/b.npy", "seed": 0, "labels": True}
    assert settled(recipe("signals"), None).data["name"] == "sines"
    for name in ("spiral", "digits"):  # refused when the data is read: they take none
        assert settled(recipe(name), Path("/a/b.npy")).data["name"] == name
    assert settled(recipe("numbers"), Path("/a")).data["name"] == "mnist"


TINY = {
    "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
    "schedule": {"timesteps": 4},
    "training": {"epochs": 1, "warmup_steps": 0},
    "sampling": {"num": 20, "steps": 2},
}


@pytest.mark.slow
def test_own_signals_are_trained_on_by_their_path(tmp_path):
    own = np.random.default_rng(0).normal(1e6, 3, (40, 16))
    np.save(tmp_path / "own.npy", own)
    (tmp_path / "c.json").write_text(json.dumps(TINY))
    options = ["train", "signals", "--data", "own.npy", "--config", "c.json", "--out", "run"]
    done = ddpm(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["path"] == str(tmp_path / "own.npy")
    assert config["facts"]["shape"] == [1, 16]
    done = ddpm("sample", "run", "--num", 5, "--out", "s.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "s.npz") as file:
        drawn = file["samples"]
    assert drawn.shape == (5, 1, 16)
    assert own.min() - 1e-3 <= drawn.min() <= drawn.max() <= own.max() + 1e-3
    again = ddpm("resume", "run", "--epochs", 2, cwd="/")
    assert again.returncode == 2  # no run there
    again = ddpm("resume", tmp_path / "run", "--epochs", 2, "--no-evaluate", cwd="/")
    assert again.returncode == 0, again.stderr
    done = ddpm("train", "spiral", "--data", "own.npy", cwd=tmp_path)
    assert done.returncode == 2
    assert "data spiral takes no path; it takes size, seed" in done.stderr


@pytest.mark.slow
def test_points_with_a_column_of_classes_are_learned_by_class(tmp_path):
    generator = np.random.default_rng(0)
    kinds = np.array(["night", "day"])[generator.integers(0, 2, 200)]
    far = np.where(kinds == "day", 5.0, -5.0)
    x, y = generator.normal(far, 0.1), generator.normal(1.7e9, 1, 200)
    rows = [f"{i},{a!r},{k},{b!r}" for i, (a, k, b) in
            enumerate(zip(x.tolist(), kinds, y.tolist(), strict=True))]  # fmt: skip
    (tmp_path / "own.csv").write_text(",x,kind,time\n" + "\n".join(rows))
    config = {
        "data": {"label_column": "kind"},
        "network": {"hidden": 16, "num_layers": 2},
        "schedule": {"timesteps": 10},
        "training": {"epochs": 60, "epoch_size": 200, "batch_size": 60, "warmup_steps": 0},
        "sampling": {"num": 40},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    options = ["train", "points", "--data", "own.csv", "--config", "c.json", "--out", "run"]
    done = ddpm(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["facts"]["class_names"] == ["day", "night"]
    assert stored["facts"]["columns"] == ["x", "time"]
    assert len(stored["facts"]["clip"][0]) == 2
    for name, sign in (("day", 1), ("night", -1)):
        options = ["--label", name, "--num", 100, "--out", f"{name}.npz"]
        done = ddpm("sample", "run", *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{name}.npz") as file:
            assert file["labels"].tolist() == [name] * 100
            samples = file["samples"]
        assert samples.dtype == np.float64
        assert (sign * samples[:, 0] > 0).mean() > 0.75
        assert y.min() - 1e-3 <= samples[:, 1].min() <= samples[:, 1].max() <= y.max() + 1e-3
    for label, column in (("day", "knd"), ("dya", "kind")):
        config["data"]["label_column"] = column
        (tmp_path / "d.json").write_text(json.dumps(config))
        command = (
            ["train", "points", "--data", "own.csv", "--config", "d.json", "--out", "other"]
            if column != "kind"
            else ["sample", "run", "--label", label]
        )
        done = ddpm(*command, cwd=tmp_path)
        assert done.returncode == 2
        assert ("did you mean kind?" if column != "kind" else "unknown label 'dya'") in done.stderr
