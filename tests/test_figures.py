import functools
import importlib.util
import io
import re
import warnings
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.report import (
    Canvas,
    Drawing,
    as_animation,
    as_gif,
    beside,
    closest_points,
    encoded,
    image_grid,
    plot_confusion,
    plot_distance,
    plot_history,
    plot_label_histogram,
    plot_lines,
    scatter_frame,
    side_by_side,
)
from denoising_diffusion.report.gif import thin
from denoising_diffusion.report.video import check_codec

NOTES = {
    "Title": "samples of ü & <digits>",
    "Software": "denoising-diffusion 1.2.3",
    "Source": "digits, seed 0",
    "Description": '{"request": {"label": ["$x_{", "5%"]}}',
}
X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
LIMITS = [(-3, 3)] * 2
TILES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


def canvas(names=("weight in $", "a_{b}"), **options):
    return Canvas(names, LIMITS[:1] * len(names), **options)


@functools.cache
def drawings() -> dict[str, tuple[Drawing, set[str]]]:
    """Every picture that runs draw, and the words that its axes, rows and columns are named by."""
    bare = canvas(bare=True, side=180)
    rows = [{"epoch": i, "loss": 1 / i, "val_loss": 1 / i} for i in (1, 2, 3)]
    grid = {"row_names": ["$3", "8"], "column_names": ["guidance 1", "2", "3"], "title": "t = 5"}
    wave = torch.sin(torch.arange(30.0)).repeat(2, 1)
    return {
        "grid": (image_grid.drawing(TILES, 3, **grid), {*grid["row_names"], "guidance 1", "t = 5"}),
        "points": (
            canvas(classes=["left", "right"], behind=X).drawing(X, "t = 3"),
            {"weight in $", "a_{b}", "left", "right", "data", "t = 3", "−2"},
        ),
        "column": (
            canvas(["age in years"], behind=X[:, :1]).drawing(X[:, :1]),
            {"age in years", "share of points in a bar", "samples"},
        ),
        "corner": (canvas([*"pqr"]).drawing(torch.cat([X, X[:, :1]], 1)), {*"pqr"}),
        "row": (
            side_by_side([bare.drawing(X, f"t = {i}") for i in range(4)], 4),
            {"weight in $", "a_{b}", "t = 0", "t = 3"},
        ),
        "lines": (
            plot_lines.drawing([("sine", wave)]),
            {"position", "value", "sine", "channel 1", "channel 2"},
        ),
        "history": (
            plot_history.drawing(rows, of="loss (mse of v)"),
            {"epoch", "loss (mse of v)", "training, 0.3333 in the end"},
        ),
        "confusion": (
            plot_confusion.drawing(torch.eye(2) * 41, ["cat", "$dog"]),
            {"read", "asked for", "cat", "$dog", "41"},
        ),
        "classes": (
            plot_label_histogram.drawing(torch.ones(2) / 2, torch.ones(2) / 2, ["cat", "dog"]),
            {"class", "share", "cat", "dog", "samples", "real data"},
        ),
        "distance": (
            plot_distance.drawing([0, 1], [1.0, 0.1], x_label="step"),
            {"step", "mean distance to the curve"},
        ),
        "closest": (
            closest_points.drawing([("t = 1", X, X / 2)] * 3, [X[:5]]),
            {"x", "y", "t = 1"},
        ),
        "scatter": (scatter_frame.drawing([("a", X)]), {"x", "y", "a"}),
        "beside": (
            beside([canvas().drawing(X), plot_lines.drawing([("b", wave)])], ["A: one", "B: two"]),
            {"A: one", "B: two", "weight in $", "value"},
        ),
    }


def words(svg: bytes) -> list[str]:
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())]


NAMES = (
    "grid points column corner row lines history confusion classes distance closest scatter beside"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_a_picture_for_paper_names_its_axes_and_is_the_picture_for_a_screen(name):
    drawing, named = drawings()[name]
    svg = encoded(drawing, ".svg", NOTES)
    assert named <= set(words(svg))
    size = re.search(rb'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert size is not None
    assert [float(v) for v in size.groups()] == pytest.approx(
        [drawing.width * 0.72, drawing.height * 0.72]
    )
    picture = drawing.image()
    assert picture.size == (drawing.width, drawing.height) and max(picture.size) >= 512
    # Painted and drawn, it is the same but for the edges of letters and discs.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotted = Drawing(drawing.width, drawing.height, drawing.draw).image()
    painted, plotted = (np.asarray(p.convert("RGB")).astype(int) for p in (picture, plotted))
    assert np.abs(painted - plotted).mean() < 4
    assert (np.abs(painted - plotted).max(2) > 60).mean() < 0.04


def test_equal_pictures_are_equal_bytes_and_say_what_they_show_in_every_format():
    for suffix in (".png", ".svg", ".pdf"):
        one, two = (encoded(drawings()["points"][0], suffix, NOTES) for _ in range(2))
        assert one == two and b"Date" not in one
    drawing = drawings()["grid"][0]
    assert Image.open(io.BytesIO(encoded(drawing, ".png", NOTES))).text == NOTES
    svg = unescape(encoded(drawing, ".svg", NOTES).decode())
    pdf = encoded(drawing, ".pdf", {**NOTES, "Title": "plain"})
    assert pdf.startswith(b"%PDF-1.4") and b"/Title (plain)" in pdf
    for key in ("Software", "Source", "Description"):
        assert NOTES[key] in svg and NOTES[key].encode() in pdf
    assert f"<dc:title>{NOTES['Title']}</dc:title>" in svg


def test_images_are_whole_multiples_on_paper_too():
    import base64

    svg = encoded(drawings()["grid"][0], ".svg").decode()
    ((content,),) = [re.findall(r'"data:image/png;base64,([^"]*)"', svg)]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L"))
    k, whole = 22, drawings()["grid"][0]  # the least for 512 pixels: 3 * 8 * 22 = 528
    assert pixels.shape == (whole.height, whole.width)
    image = TILES[5, ..., 0].repeat(k, 0).repeat(k, 1)
    shown = pixels[::-1] if "scale(1 -1)" in svg else pixels
    assert np.array_equal(shown[-2 - 8 * k : -2, -2 - 8 * k : -2], image)


def test_classes_in_any_script_are_drawn_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = plot_confusion.drawing(torch.eye(2), ["猫", "кот"])
        for suffix in (".png", ".svg", ".pdf"):
            assert encoded(drawing, suffix)
    assert {"猫", "кот"} <= set(words(encoded(drawing, ".svg")))


# Animations


def moving(count=7, mode="RGB", size=(61, 40)):
    base = canvas(side=60, bare=True).draw(X).resize(size).convert(mode)
    steps = np.linspace(0, 120, count).astype(np.uint8)
    return [Image.fromarray(np.asarray(base) // 2 + step) for step in steps]


def opened(content):
    """The frames of an animation, (n, h, w, 3), and their durations in milliseconds."""
    frames, durations = [], []
    with Image.open(io.BytesIO(content)) as file:
        for i in range(file.n_frames):
            file.seek(i)
            file.load()
            frames.append(np.asarray(file.convert("RGB")).astype(int))
            durations.append(round(file.info["duration"]))
        return np.stack(frames), durations, file.info.get("loop")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_an_animation_has_the_frames_and_times_of_the_gif(suffix, mode):
    made = moving(mode=mode)
    one, two = (as_animation(made, suffix, fps=8, hold=1.5, notes=NOTES) for _ in range(2))
    assert one == two
    frames, durations, loop = opened(one)
    assert durations == [120] * 6 + [1500] and loop == 0
    exact = np.stack([np.asarray(f.convert("RGB")) for f in made]).astype(int)
    if suffix == ".gif":
        assert np.abs(frames - exact).mean() < 8
    else:
        assert np.array_equal(frames, exact)
    of_gif = opened(as_gif(made, fps=8, hold=1.5))[0]
    assert np.abs(frames - of_gif).mean() < 8
    with Image.open(io.BytesIO(one)) as file:
        said = {
            ".gif": lambda: file.info["comment"].decode(),
            ".apng": lambda: "\n".join(f"{k}: {v}" for k, v in file.text.items()),
            ".webp": lambda: unescape(file.info["xmp"].decode()),
        }[suffix]()
    if suffix == ".webp":
        assert all(text in said for text in NOTES.values())
        assert ElementTree.fromstring(file.info["xmp"]) is not None
    else:
        assert said == "\n".join(f"{k}: {v}" for k, v in NOTES.items())


@pytest.mark.parametrize("suffix", [".apng", ".webp"])
def test_a_long_animation_has_sixty_frames_with_both_ends(suffix):
    made = [Image.fromarray(np.eye(70, k=i - 45, dtype=np.uint8) * 255) for i in range(90)]
    frames = opened(as_animation(made, suffix))[0]
    expected = [np.asarray(made[i].convert("RGB")) for i in thin(90)]
    assert np.array_equal(frames, np.stack(expected))


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp", ".mp4"])
def test_animations_complain(suffix):
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        with pytest.raises(ValueError, match=r"\.mp4 needs PyAV: pip install .*\[video\]"):
            as_animation(moving(2), suffix)
        return
    with pytest.raises(ValueError, match="at least one frame, got none"):
        as_animation([], suffix)
    with pytest.raises(ValueError, match="one size and one mode"):
        as_animation([*moving(1), *moving(1, "L")], suffix)
    with pytest.raises(ValueError, match="fps must be a finite number >= 0.1"):
        as_animation(moving(2), suffix, fps=0)


def test_a_video_has_the_frames_of_the_gif_and_holds_its_last():
    av = pytest.importorskip("av", reason="the extra video is not installed")
    made = moving(size=(122, 81))
    one, two = (as_animation(made, ".mp4", fps=10, hold=0.5, notes=NOTES) for _ in range(2))
    assert one == two
    with av.open(io.BytesIO(one)) as file:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in file.decode(video=0)]).astype(int)
        assert file.metadata["comment"].startswith("Title: samples of ü & <digits>\nSoftware")
        assert float(file.streams.video[0].average_rate) == 10
        seconds = file.duration / 1e6
    assert frames.shape == (11, 82, 122, 3) and seconds == pytest.approx(1.1, abs=0.01)
    exact = np.stack([np.asarray(f) for f in made]).astype(int)
    assert np.abs(frames[:7, :81] - exact).mean() < 6
    assert np.abs(frames[7:, :81] - exact[-1]).mean() < 6


def test_without_the_extra_a_video_is_refused_by_its_name(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "av" else find(n))
    with pytest.raises(ValueError, match=r"pip install 'denoising-diffusion\[video\]'"):
        check_codec()
