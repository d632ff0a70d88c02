"""Single pictures: written into a folder, completed, never over what is not ours, and scored."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion.config import Sampling
from denoising_diffusion.data import load_dataset
from denoising_diffusion.files import read_npz
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.kinds.points import Points
from denoising_diffusion.run import draw
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.request import completed
from denoising_diffusion.run.single import _label, picture_names, read_folder, sample_folder
from test_draw import digits, small  # noqa: F401
from test_runs import ddpm


@pytest.fixture
def run(small, monkeypatch):  # noqa: F811
    """A run whose model needs no file."""
    run, model, _ = small
    monkeypatch.setattr(run, "model", lambda average, device: model)
    monkeypatch.setattr(draw, "_batch", lambda run, model: 8)
    return run


def wish(num=12, **more):
    return Sampling("ddim", steps=3, num=num, **more)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_every_sample_is_a_picture_with_its_number_seed_and_label(run, tmp_path):
    drawn = sample_folder(run, wish(seed=7), tmp_path / "a")
    assert drawn.made == [tmp_path / "a"]
    names = sorted(os.listdir(tmp_path / "a"))
    assert names == [f"{i:02d}-s7-{i % 10}.png" for i in range(12)]
    full = completed(run, wish(seed=7))
    draw.draw_file(run, run.model(None, "cpu"), full, tmp_path / "a.npz")
    for name, pixels in zip(names, read_npz(tmp_path / "a.npz")["samples"], strict=True):
        with Image.open(tmp_path / "a" / name) as image:
            assert image.mode == "L" and np.array_equal(np.asarray(image), pixels[..., 0])
    assert not list(tmp_path.glob(".*"))


def test_asked_twice_it_is_there_and_what_is_missing_comes_back(run, tmp_path):
    folder = tmp_path / "a"
    sample_folder(run, wish(), folder)
    before = contents(folder)
    assert sample_folder(run, wish(), folder).made == []
    (folder / "notes.txt").write_text("mine")
    assert sample_folder(run, wish(), folder).made == []  # nothing has to be written
    (folder / "notes.txt").unlink()
    (folder / "03-s0-3.png").unlink()
    assert sample_folder(run, wish(), folder).made == [folder]
    assert contents(folder) == before


@pytest.mark.parametrize("number", [1, 3, 6, 15])
def test_a_kill_is_completed_by_the_same_command(run, tmp_path, monkeypatch, number):
    """Before any file that it writes: pieces, the record, pictures."""
    sample_folder(run, wish(), tmp_path / "whole")
    written, original = [], draw.write

    def killed(path, content):
        written.append(path)
        if len(written) == number:
            raise KeyboardInterrupt
        original(path, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        for place in ("denoising_diffusion.files.write", "denoising_diffusion.run.draw.write"):
            patch.setattr(place, killed)
        sample_folder(run, wish(), tmp_path / "a")
    sample_folder(run, wish(), tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_what_is_not_ours_is_neither_written_over_nor_removed(run, tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "mine.png").write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(FileExistsError, match=r"a holds other files \(1\), such as mine.png"):
            sample_folder(run, wish(), folder)
    sample_folder(run, wish(), folder, overwrite=True)
    with pytest.raises(FileExistsError, match=r"holds other files \(13\)"):
        sample_folder(run, wish(5), folder)
    (folder / "11-s0-1.png").write_bytes(b"edited, and mine now")
    sample_folder(run, wish(5), folder, overwrite=True)
    ours = {f"{i}-s0-{i}.png" for i in range(5)}
    assert set(contents(folder)) == ours | {"mine.png", "11-s0-1.png"}
    assert contents(folder)["mine.png"] == b"mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file is a file; a folder is needed"):
        sample_folder(run, wish(), tmp_path / "file")


@pytest.mark.parametrize("label", ["3", "T-shirt/top", "a%b", "猫 и кот", "..", "x" * 80, "-s1-"])
def test_any_label_is_read_back_from_the_name_of_a_file(label):
    (name,) = picture_names([label], wish(1, seed=4))
    assert "/" not in name and name.startswith("0-s4-")
    assert _label(name.removesuffix(".png")) == label


def test_names_sort_in_their_order_and_long_ones_are_refused():
    names = picture_names(None, wish(1200))
    assert names == sorted(names) and names[7] == "0007-s0.png"
    with pytest.raises(ValueError, match="a label is too long for the name of a file"):
        picture_names(["猫" * 80], wish(1))


def images(folder, shape, names, *tint):
    """Files of grey pictures, brighter and brighter; in colour with a tint."""
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = (9 * i, *tint) if tint else 9 * i
        Image.new("RGB" if tint else "L", shape, colour).save(folder / name)
    return folder


def test_pictures_that_anything_made_are_read_with_their_classes(digits, tmp_path):  # noqa: F811
    kind = Images(facts_of(digits))
    plain = images(tmp_path / "plain", (8, 8), ["b.png", "a.png", "c.bmp"])
    x, names = read_folder(kind, digits, plain)
    assert names is None and x.shape == (3, 1, 8, 8)
    assert [round(float(v)) for v in (x[:, 0, 0, 0] + 1) * 127.5] == [9, 0, 18]
    named = images(tmp_path / "named", (8, 8), ["0-s5-7.png", "1-s5-none.png"])
    assert read_folder(kind, digits, named)[1] == ["7", "none"]
    images(named, (8, 8), ["other.png"])
    assert read_folder(kind, digits, named)[1] is None
    sub = images(tmp_path / "sub", (8, 8), ["3/x.png", "8/x.png", "8/y.png"])
    Image.new("RGB", (8, 8), (7, 7, 7)).save(sub / "8" / "y.png")
    x, names = read_folder(kind, digits, sub)
    assert names == ["3", "8", "8"] and x.shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "names", "tint", "text"),
    [
        ((9, 8), ["a.png"], (), "a.png is 9 × 8 pixels, it must be 8 × 8"),
        ((8, 8), ["a.png"], (0, 7), "a.png, of mode RGB, has colours"),
        ((8, 8), ["1/a.png", "one/a.png"], (), "its sub-folder one is no class; known are 0, 1"),
    ],
)
def test_other_pictures_are_refused_by_name(digits, tmp_path, shape, names, tint, text):  # noqa: F811
    folder = images(tmp_path, shape, names, *tint)
    with pytest.raises(ValueError, match=text):
        read_folder(Images(facts_of(digits)), digits, folder)
    spiral = load_dataset("spiral", size=100)
    with pytest.raises(ValueError, match="can be compared with images, not with points"):
        read_folder(Points(facts_of(spiral)), spiral, folder)


def test_the_commands(run, tmp_path):
    model = run.model(None, "cpu")
    run.export(model.state_dict(), run.config.total_steps)
    options = ("sample", "run", "--num", 20, "--steps", 2, "--out")
    for out in ("pics/", "pics"):  # the second time it is there already
        done = ddpm(*options, out, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "pics\n"), done.stderr
    assert done.stderr == "ddpm: pics is there already\n"
    assert "../pics" in json.loads((tmp_path / "run" / "origins.json").read_text())
    done = ddpm(*options, "gif/", "--gif", "a.gif", cwd=tmp_path)
    assert done.returncode == 2 and "a folder takes no --gif" in done.stderr
    done = ddpm("evaluate", "pics", cwd=tmp_path)
    assert done.returncode == 2 and "say with --data what to compare with" in done.stderr


def test_points_refuse_in_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setattr(type(run.kind), "compares", False)
    with pytest.raises(ValueError, match="single pictures are of images; this run has"):
        sample_folder(run, wish(), tmp_path / "a")
    assert not (tmp_path / "a").exists()
