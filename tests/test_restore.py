"""Filling and undoing from the command line, with runs that never trained."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion.cli import main
from denoising_diffusion.data import load_dataset
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.prepare import facts_of

MASK = np.zeros((8, 8), np.uint8)
MASK[3:, 2:7] = 255
LEVELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
GREY = LEVELS[..., 0]


def make_run(path, shape, dropout=0.1):
    config = recipe("digits")
    config = replace(
        config,
        network={**config.network, "model_channels": 8, "channel_multipliers": [1, 2]},
        schedule={"kind": "cosine", "timesteps": 8},
        training=replace(config.training, precision="float32", label_dropout=dropout),
        sampling=replace(config.sampling, steps=4),
        facts=replace(facts_of(load_dataset("digits")), shape=shape),
    )
    run = Run(path)
    run.create(config)
    run.export(build_diffusion(config).state_dict(), config.total_steps)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("restore")
    make_run(folder / "grey", (1, 8, 8))
    make_run(folder / "colour", (3, 8, 8))
    make_run(folder / "labelled", (1, 8, 8), dropout=0.0)
    for name, pixels in {
        "mask": MASK,
        "black": 0 * MASK,
        "picture": GREY,
        "colours": LEVELS,
        "low": GREY[:4, :4],
        "large": np.tile(GREY, (2, 2)),
    }.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(GREY).convert("RGB").save(folder / "same.png")
    Image.fromarray(GREY).convert("P").save(folder / "palette.png")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(folder / "deep.png")
    clear = np.dstack([LEVELS, np.full((8, 8), 255, np.uint8)])
    Image.fromarray(clear).save(folder / "opaque.png")
    clear[0, 0, 3] = 254
    Image.fromarray(clear).save(folder / "clear.png")
    (folder / "text.png").write_text("no picture\n")
    (folder / "cut.png").write_bytes((folder / "picture.png").read_bytes()[:60])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(GREY)).save(folder / "turned.png", exif=exif)
    return folder


@pytest.fixture
def ddpm(template, monkeypatch, capsys):
    monkeypatch.chdir(template)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["sample", *map(str, arguments)])
        return (end.value.code, *capsys.readouterr())

    return call


def samples(file):
    with np.load(file) as arrays:
        return arrays["samples"]


@pytest.mark.parametrize("method", ["replacement", "dps", "pigdm", "repaint"])
@pytest.mark.parametrize(("run", "picture"), [("grey", "picture"), ("colour", "colours")])
def test_known_pixels_are_those_of_the_picture_to_the_byte(template, ddpm, run, picture, method):
    out = template / f"{run}-{method}.npz"
    fill = ("--inpaint", f"{picture}.png", "--mask", "mask.png", "--method", method)
    code, _, error = ddpm(run, *fill, "--num", 3, "--out", out)
    assert code == 0, error
    found = samples(out)
    known = MASK == 0
    given = LEVELS if run == "colour" else GREY[..., None]
    assert found.shape == (3, *given.shape)
    assert (found[:, known] == given[known]).all()
    assert (found[0][~known] != found[1][~known]).any()


@pytest.mark.parametrize("picture", ["same", "palette", "turned"])
def test_other_modes_are_the_same_picture_and_asking_twice_draws_once(template, ddpm, picture):
    fill = ("--inpaint", f"{picture}.png", "--mask", "mask.png", "--num", 2)
    code, out, error = ddpm("grey", *fill, "--out", f"{picture}.npz")
    assert code == 0, error
    assert (samples(template / f"{picture}.npz")[0][MASK == 0] == GREY[MASK == 0][:, None]).all()
    code, out, error = ddpm("grey", *fill, "--out", f"{picture}.npz")
    assert (code, out) == (0, f"{picture}.npz\n")
    assert "is there already" in error


def test_what_was_asked_is_part_of_what_a_file_was_made_from(template, ddpm):
    fill = ["grey", "--inpaint", "picture.png", "--mask", "mask.png"]
    code, out, error = ddpm(*fill)
    assert code == 0, error
    file = template / out.strip()
    assert file.name == "inpaint-pigdm-ddim-4-g1-s0-n8-label-none.png"
    with Image.open(file) as drawn:
        assert drawn.size[0] > 10 * 32  # picture, given and eight answers
    origin = json.loads((template / "grey" / "origins.json").read_text())
    given = origin[f"samples/{file.name}"]["from"]["given"]
    assert set(given) == {"picture", "mask", "method"}
    assert len(given["picture"]) == len(given["mask"]) == 64
    code, out, error = ddpm(*fill[:-1], "colours.png")
    assert code == 2
    before = file.read_bytes()
    Image.fromarray(255 - MASK).save(template / "other.png")
    code, out, error = ddpm(*fill[:-1], "other.png")
    assert out.strip().endswith("-2.png")
    assert file.read_bytes() == before


def test_labels_guidance_and_animations_go_on_working(template, ddpm):
    fill = ("--inpaint", "picture.png", "--mask", "mask.png", "--method", "repaint")
    code, _, error = ddpm(
        "grey", *fill, "--label", 3, 8, "--num", 4, "--guidance-scale", 2, "--out", "labels.png",
        "--gif", "labels.gif",
    )  # fmt: skip
    assert code == 0, error
    with Image.open(template / "labels.png") as drawn:
        width, height = drawn.size
        assert 512 <= width < 2 * 512
        assert 1.5 < width / height < 2.5  # two rows, of what was given and two answers
    with Image.open(template / "labels.gif") as walk:
        assert walk.n_frames == 5  # noise, and the state after each step


@pytest.mark.parametrize(
    ("run", "picture", "operator"),
    [("grey", "low", "pool2"), ("grey", "picture", "blur1.5"), ("colour", "picture", "grey")],
)
def test_what_an_operator_left_is_undone(template, ddpm, run, picture, operator):
    undo = ("--restore", f"{picture}.png", "--operator", operator, "--observation-noise", 2)
    for name in (f"{operator}.npz", f"{operator}.png"):
        code, _, error = ddpm(run, *undo, "--num", 3, "--sampler", "ddpm", "--out", name)
        assert code == 0, error
    found = samples(template / f"{operator}.npz")
    assert found.shape == (3, 8, 8, 3 if run == "colour" else 1)


FILL = ["--inpaint", "picture.png", "--mask", "mask.png"]
UNDO = ["--restore", "picture.png", "--operator"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["grey", "--inpaint", "picture.png"], "--inpaint and --mask go together"),
        (["grey", "--mask", "mask.png"], "--inpaint and --mask go together"),
        (["grey", "--restore", "picture.png"], "--restore and --operator go together"),
        (["grey", *FILL, *UNDO, "blur1"], "--inpaint and --restore exclude each other"),
        (["grey", *FILL, "--observation-noise", "1"], "--observation-noise goes with --restore"),
        (["grey", *UNDO, "blur1", "--observation-noise", "-1"], "must lie in [0, 255], got -1"),
        (["grey", *UNDO, "blur1", "--method", "repaint"], "--method repaint goes with --inpaint"),
        (["grey", "--method", "dps"], "--method dps goes with --inpaint or --restore"),
        (["grey", *FILL, "--method", "dsp"], "got 'dsp'; did you mean dps?"),
        (["grey", *FILL, "--method", "repaint", "--sampler", "heun"], "it takes no --sampler heun"),
        (
            ["grey", *FILL, "--strip", "guidance"],
            "--strip, --grid and --between exclude each other",
        ),
        (["grey", *FILL, "--num", "0"], "num must be at least 1"),
        (["labelled", *FILL], "say with --label what the picture shows, of 0, 1, 2"),
        (["grey", "--inpaint", "large.png", *FILL[2:]], "is 16 × 16 pixels, it must be 8 × 8"),
        (["grey", *FILL[:2], "--mask", "large.png"], "is 16 × 16 pixels, it must be 8 × 8"),
        (["grey", *FILL[:2], "--mask", "black.png"], "black everywhere: there is nothing to fill"),
        (["grey", *FILL[:2], "--mask", "colours.png"], "of mode RGB, has colours"),
        (["grey", "--inpaint", "colours.png", *FILL[2:]], "has colours: it cannot become grey"),
        (["colour", "--inpaint", "clear.png", *FILL[2:]], "of mode RGBA, has transparency"),
        (["grey", "--inpaint", "deep.png", *FILL[2:]], "has values of more than 8 bits"),
        (["grey", "--inpaint", "text.png", *FILL[2:]], "text.png is no picture"),
        (["grey", "--inpaint", "cut.png", *FILL[2:]], "cut.png is no"),
        (["grey", "--inpaint", "nowhere.png", *FILL[2:]], "nowhere.png: no such file"),
        (["grey", "--inpaint", ".", *FILL[2:]], "it is a folder, not a regular file"),
        (["grey", *UNDO, "pool2"], "is 8 × 8 pixels, it must be 4 × 4"),
        (["grey", *UNDO, "pool9"], "operator pool9: factor must be at most 8, got 9"),
        (["grey", *UNDO, "pool1.5"], "operator pool1.5: factor must be an integer"),
        (["grey", *UNDO, "blur0"], "operator blur0: std must be a finite number above 0"),
        (["grey", *UNDO, "blur1.2.3"], "operator blur1.2.3: could not convert"),
        (["grey", *UNDO, "pool"], "operator must be one of poolNUMBER, blurNUMBER, grey, got"),
        (["grey", *UNDO, "grey2"], "operator must be one of poolNUMBER, blurNUMBER, grey, got"),
        (["grey", *UNDO, "grey"], "grey is seen of three channels"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(template, ddpm, arguments, reason):
    before = sorted(template.rglob("*"))
    code, out, error = ddpm(*arguments)
    (line,) = error.strip().splitlines()
    assert (code, out) == (2, "")
    assert reason in line
    assert sorted(template.rglob("*")) == before
