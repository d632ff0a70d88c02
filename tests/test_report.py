import math

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.files import as_png, write
from denoising_diffusion.report.confusion import plot_confusion, plot_label_histogram
from denoising_diffusion.report.gif import thin, write_gif
from denoising_diffusion.report.history import log_ticks, plot_history
from denoising_diffusion.report.images import grid_frames, image_grid, pair_grid, to_uint8
from denoising_diffusion.report.lines import plot_lines
from denoising_diffusion.report.points import (
    closest_points,
    plot_distance,
    scatter_frame,
)


def not_blank(image):
    return len(np.unique(np.asarray(image))) > 10


# GIF


def frames(n, mode="L"):
    return [Image.new("L", (40, 30), i % 16 * 17).convert(mode) for i in range(n)]


@pytest.mark.parametrize(("made", "kept"), [(1, 1), (7, 7), (60, 60), (61, 60), (1000, 60)])
def test_frames_are_thinned_evenly_with_both_ends(made, kept):
    chosen = thin(made)
    assert len(chosen) == kept == len(set(chosen))
    assert chosen[0] == 0 and chosen[-1] == made - 1
    gaps = np.diff(chosen)
    assert kept == 1 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_gif_reopens_with_its_frames_colours_and_times(tmp_path, mode):
    path = tmp_path / "a.gif"
    write_gif(frames(10, mode), path, fps=10, hold=1.5)
    with Image.open(path) as gif:
        assert gif.n_frames == 10 and gif.size == (40, 30) and gif.info["loop"] == 0
        durations = []
        for i in range(10):
            gif.seek(i)
            durations.append(gif.info["duration"])
            assert gif.convert("RGB").getpixel((20, 15)) == (i * 17,) * 3
    assert durations == [100] * 9 + [1500]
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_a_long_gif_has_sixty_frames(tmp_path):
    ramp = [Image.fromarray(np.eye(100, k=i, dtype=np.uint8) * 255) for i in range(90)]
    write_gif(ramp, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 60


def test_a_failed_file_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    path.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_gif(frames(3), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_gif_complains(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="one size and one mode"):
        write_gif([*frames(1), *frames(1, "RGB")], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="fps must be a finite number >= 0.1, got 0"):
        write_gif(frames(2), tmp_path / "a.gif", fps=0)


# Images


def test_to_uint8_rounds_and_cuts():
    x = torch.tensor([-2.0, -1, 0, 0.999, 1, 3]).view(1, 1, 2, 3)
    assert to_uint8(x).shape == (1, 2, 3, 1)
    assert to_uint8(x).ravel().tolist() == [0, 0, 128, 255, 255, 255]
    with pytest.raises(ValueError, match=r"shape \(n, c, h, w\)"):
        to_uint8(x[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_where_they_belong(channels):
    images = np.arange(5, dtype=np.uint8).repeat(8 * 8 * channels).reshape(5, 8, 8, channels) * 40
    grid = image_grid(images, 3, scale=4)
    assert grid.mode == ("L" if channels == 1 else "RGB")
    assert grid.size == (2 + 3 * 34, 2 + 2 * 34)
    pixels = np.asarray(grid).reshape(grid.height, grid.width, channels)
    for i in range(5):
        y, x = 2 + i // 3 * 34, 2 + i % 3 * 34
        assert (pixels[y : y + 32, x : x + 32] == i * 40).all()
    assert (pixels[:2] == 255).all() and (pixels[34:36] == 255).all()
    assert (pixels[:, 34:36] == 255).all() and (pixels[36:, 70:] == 255).all()


def test_pixels_are_enlarged_without_blur():
    image = np.array([[0, 255], [255, 0]], dtype=np.uint8).reshape(1, 2, 2, 1)
    grid = np.asarray(image_grid(image, 1, scale=3, border=0))
    assert np.array_equal(grid, image[0, ..., 0].repeat(3, 0).repeat(3, 1))


@pytest.mark.parametrize(
    ("count", "side", "columns", "scale"),
    [(1, 28, 1, 19), (80, 8, 8, 7), (16, 8, 4, 16), (100, 64, 10, 1), (900, 8, 30, 4)],
)
def test_pictures_are_large_enough_to_be_looked_at(count, side, columns, scale):
    rows = count // columns
    assert scale == 1 or rows * side * scale >= 512
    assert scale == 1 or rows * side * (scale - 1) < 512 or side * (scale - 1) < 32
    grid = image_grid(np.zeros((count, side, side, 1), np.uint8), columns)
    assert grid.size == tuple(2 + n * (side * scale + 2) for n in (columns, rows))


def test_names_and_title_take_room_and_leave_the_tiles_alone():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    plain = image_grid(images, 2)
    named = image_grid(images, 2, row_names=["a", "b"], title="T")
    left, top = named.width - plain.width, named.height - plain.height
    assert left > 0 and top > 0
    pixels = np.asarray(named)
    assert np.array_equal(pixels[top:, left:], np.asarray(plain))
    assert (pixels[:top] < 255).any() and (pixels[top:, :left] < 255).any()


def ink(picture, box):
    """Whether anything is written in this (left, top, right, bottom)."""
    return bool((np.asarray(picture.convert("L").crop(box)) < 128).any())


@pytest.mark.parametrize("channels", [1, 3])
def test_short_names_stand_above_their_images(channels):
    images = np.full((5, 8, 8, channels), 200, np.uint8)
    plain = image_grid(images, 3, scale=4)
    named = image_grid(images, 3, scale=4, names=list("31415"))
    band = (named.height - plain.height) // 2
    assert named.width == plain.width and band >= 13
    assert not ink(named, (70, 36 + band, 104, named.height))  # after the fifth there is none
    for i in range(5):
        x, y = 2 + i % 3 * 34, 2 + i // 3 * (34 + band)
        assert ink(named, (x, y, x + 32, y + band))
        tile = np.asarray(named.crop((x, y + band, x + 32, y + band + 32)))
        assert (tile == 200).all()
        names = ["3", "1", "4", "1", "5"]
        names[i] = "7"  # which changes nothing but what stands above this image
        other = np.asarray(image_grid(images, 3, scale=4, names=names).convert("L"))
        rows, columns = np.nonzero(other != np.asarray(named.convert("L")))
        assert y <= rows.min() and rows.max() < y + band
        assert x <= columns.min() and columns.max() < x + 32


def test_column_names_stand_above_their_columns_below_the_title():
    images = np.full((4, 8, 8, 1), 200, np.uint8)
    given = {"scale": 4, "row_names": ["a", "b"], "title": "T"}
    titled = image_grid(images, 2, **given)
    headed = image_grid(images, 2, **given, column_names=["1", "10"])
    top, left = headed.height - titled.height, titled.width - 70
    assert headed.width == titled.width and top >= 13
    under_title = titled.height - 70
    title = (0, 0, titled.width, under_title)
    assert np.array_equal(np.asarray(headed.crop(title)), np.asarray(titled.crop(title)))
    rest = np.asarray(titled.crop((0, under_title, titled.width, titled.height)))
    assert np.array_equal(np.asarray(headed)[under_title + top :], rest)
    heads = [
        (left + 2 + k * 34, under_title, left + 34 + k * 34, under_title + top) for k in (0, 1)
    ]
    assert all(ink(headed, box) for box in heads)
    blank = image_grid(images, 2, **given, column_names=["", "10"])
    assert [ink(blank, box) for box in heads] == [False, True]


@pytest.mark.parametrize("where", ["names", "column_names"])
def test_wide_names_make_wide_columns_and_images_stay_below_them(where):
    images = np.zeros((3, 8, 8, 1), np.uint8)
    grid = image_grid(images, 3, scale=4, **{where: ["T-shirt/top", "", "Ankle boot"]})
    step = (grid.width - 2) // 3
    assert step > 60
    top = grid.height - 34
    dark = np.asarray(grid) < 255
    for k in range(3):
        own = dark[:, 2 + k * step : 2 + k * step + step - 2]
        tile = np.flatnonzero(own[top : top + 32].all(0))
        assert len(tile) == 32 and abs(tile.mean() - (step - 3) / 2) <= 1
        text = np.flatnonzero(own[:top].any(0))
        assert len(text) == 0 if k == 1 else abs(text.mean() - (step - 3) / 2) < 6
    gaps = [dark[:, 2 + k * step - 3 : 2 + k * step].any() for k in (1, 2)]
    assert not any(gaps)


def test_grid_frames_are_a_gif(tmp_path):
    states = [torch.full((4, 1, 8, 8), v) for v in (-1.0, 0.0, 1.0)]
    made = grid_frames(states, 2, ["t = 2", "t = 1", "t = 0"])
    assert len({f.size for f in made}) == 1
    write_gif(made, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3
    with pytest.raises(ValueError, match="1 captions for 3"):
        grid_frames(states, 2, ["a"])


def test_grid_complains():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    for bad in (images[0], images[:0], images.repeat(2, axis=3)):
        with pytest.raises(ValueError, match="images must have shape"):
            image_grid(bad, 2)
    with pytest.raises(ValueError, match="columns must lie in 1..10000, got 0"):
        image_grid(images, 0)
    with pytest.raises(ValueError, match="3 row_names for 2 rows"):
        image_grid(images, 2, row_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="got 1 column_names for 2 columns"):
        image_grid(images, 2, column_names=["a"])
    with pytest.raises(ValueError, match="got 5 names for 4 images"):
        image_grid(images, 2, names=list("abcde"))


# Plots


def test_scatter_sizes_and_any_number_of_columns():
    points = torch.randn(100, 2)
    assert scatter_frame([("t = 3", points)], panel_size=200).size == (200, 200)
    assert scatter_frame([("a", points)] * 4, columns=2, panel_size=150).size == (300, 300)
    for width in (1, 5):
        assert not_blank(scatter_frame([("a", torch.randn(50, width))]))


def test_closest_points_and_distance():
    x = torch.randn(300, 2)
    arc = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    picture = closest_points([("t = 1", x, x * torch.tensor([1.0, 0.0]))] * 5, [arc])
    assert picture.size == (1100, 260)
    assert not_blank(plot_distance([3, 2, 1, 0], [0.5, 0.3, 0.1, 0.01]))


def test_plots_complain():
    with pytest.raises(ValueError, match="no panels"):
        scatter_frame([])
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        scatter_frame([("a", torch.zeros(3))])
    with pytest.raises(ValueError, match="2 steps and 1 dist"):
        plot_distance([1, 2], [1.0])
    with pytest.raises(ValueError, match="must have one shape"):
        closest_points([("a", torch.zeros(3, 2), torch.zeros(2, 2))], [])


@pytest.mark.parametrize("rows", [1, 300])
def test_history_is_a_picture(rows):
    history = [{"step": i, "loss": 1 / (i + 1)} for i in range(rows)]
    history[-1]["val_loss"] = 0.3
    picture = plot_history([*history, {"step": rows, "val_loss": 0.2}])
    assert picture.size == (640, 360) and picture.mode == "RGB" and not_blank(picture)
    with pytest.raises(ValueError, match="no row"):
        plot_history([])


def coloured(image, colour):
    """The pixels of nearly this colour."""
    return np.abs(np.asarray(image).astype(int) - colour).max(2) <= 40


BLUE, ORANGE, GREEN = (47, 109, 181), (224, 123, 57), (63, 155, 108)


def test_held_out_losses_are_a_line_of_their_own():
    history = [{"step": i, "loss": 2.0} for i in range(1, 100)]
    picture = plot_history(history)
    assert coloured(picture, BLUE).any() and not coloured(picture, ORANGE).any()
    both = plot_history([*history, {"step": 50, "val_loss": 1.0}, {"step": 99, "val_loss": 1.0}])
    # The legend at the right is left out.
    upper, lower = (np.nonzero(coloured(both, c)[:, :500])[0].mean() for c in (BLUE, ORANGE))
    assert upper < lower


def test_the_loss_has_a_logarithmic_axis():
    drawn = coloured(plot_history([{"step": i, "loss": 0.7**i} for i in range(40)]), BLUE)
    rows, columns = np.nonzero(drawn)
    # A geometric series is a straight line.
    middle = rows[columns == (columns.min() + columns.max()) // 2].mean()
    assert middle == pytest.approx((rows.min() + rows.max()) / 2, abs=3)


def test_broken_losses_leave_gaps():
    history = [{"step": i, "loss": 1.0 + i % 2} for i in range(50)]
    broken = [*history, {"step": 20.5, "loss": math.nan}, {"step": 21.5, "val_loss": math.inf}]
    assert np.array_equal(np.asarray(plot_history(history)), np.asarray(plot_history(broken)))
    assert not_blank(plot_history([{"step": 1, "loss": 0.0}, {"step": 2, "loss": -1.0}]))
    for bad in ([], [{"step": None, "loss": 1.0}], [{"step": 1, "loss": math.nan}], [{"a": 1}]):
        with pytest.raises(ValueError, match="rows holds no row with a step and a finite loss"):
            plot_history(bad)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.01, 10, [0.01, 0.1, 1, 10]),
        (0.25, 11, [0.3, 1, 3, 10]),
        (0.15, 1.1, [0.2, 0.5, 1]),
        (0.45, 1.1, [0.5, 0.7, 1]),
        (0.545, 0.605, [0.56, 0.58, 0.6]),
        (2e-5, 3e-5, [2e-5, 2.5e-5, 3e-5]),
    ],
)
def test_ticks_of_losses_are_few_round_numbers(low, high, ticks):
    assert log_ticks(low, high) == pytest.approx(ticks, rel=1e-12)
    assert len(ticks) >= 3


def test_any_range_of_losses_has_ticks():
    for k in range(400):
        low = 10 ** (-6 + k * 0.031)
        for ratio in (1.1, 1.7, 3, 40, 1e5, 1e12):
            ticks = log_ticks(low, low * ratio)
            assert 3 <= len(ticks) <= 9 and low <= ticks[0] < ticks[-1] <= low * ratio


def test_a_single_epoch_is_two_points_and_its_number():
    picture = plot_history([{"step": 15, "epoch": 1, "loss": 0.9, "val_loss": 0.95}])
    blue, orange = (np.nonzero(coloured(picture, c)[:, :400]) for c in (BLUE, ORANGE))
    assert blue[1].mean() == pytest.approx(orange[1].mean(), abs=1)
    assert blue[0].mean() > orange[0].mean() + 100  # its loss is the lower one


def test_held_out_losses_below_those_of_training_are_explained():
    def top(held_out, why="with averaged weights"):
        rows = [{"step": i, "epoch": i, "loss": 1.0, "val_loss": held_out} for i in (1, 2)]
        return ink(plot_history(rows, why), (60, 0, 250, 12))

    assert top(0.9) and not top(1.1)


# Signals


def line_rows(picture, colour, column):
    """Where lines of this colour cross a column of pixels."""
    return np.flatnonzero(coloured(picture, colour)[:, column])


def test_every_channel_has_its_colour_and_height():
    flat = torch.tensor([0.0, 1.0, 3.0])[:, None].expand(3, 50)
    picture = plot_lines([("", flat)])
    assert picture.size == (640, 320) and picture.mode == "RGB"
    low, middle, high = (line_rows(picture, c, 300).mean() for c in (BLUE, ORANGE, GREEN))
    assert low - middle == pytest.approx((middle - high) / 2, abs=1.5) and low - high > 60


def test_panels_share_their_heights_and_stand_in_a_grid():
    panels = [("a", torch.zeros(1, 20)), ("b", torch.ones(1, 20) * 4), ("c", torch.zeros(1, 20))]
    picture = plot_lines(panels, columns=2)
    assert picture.size == (640, 400)
    left, right = (line_rows(picture, BLUE, x) for x in (200, 520))
    assert left.max() < 400 and right.max() < 200
    upper = left[left < 200]
    assert len(upper) and right.mean() < upper.mean() - 50
    assert len(left[left >= 200])
    assert plot_lines(panels).size == (960, 200)


def test_a_title_is_written_and_several_signals_are_drawn_over_each_other():
    one = torch.stack([torch.zeros(1, 30), torch.ones(1, 30)])
    plain, titled = plot_lines([("", one)]), plot_lines([("a title", one)])
    assert not ink(plain, (60, 0, 200, 25)) and ink(titled, (60, 0, 200, 25))
    faint = np.abs(np.asarray(plain).astype(int) - (130, 167, 211)).max(2) <= 25
    rows = np.flatnonzero(faint[:, 300])
    assert len(np.flatnonzero(np.diff(rows) > 30)) == 1  # two lines, far apart
    assert not_blank(plot_lines([("constant", torch.full((1, 5), 2.0))]))


def test_lines_complain():
    for bad in (torch.zeros(3), torch.zeros(1, 1, 1, 1), torch.zeros(2, 0)):
        with pytest.raises(ValueError, match=r"signals of panels must have shape \(c, length\) or"):
            plot_lines([("a", bad)])
    with pytest.raises(ValueError, match="panels holds no panels"):
        plot_lines([])
    with pytest.raises(ValueError, match=r"panels\[0\]\[1\] holds values that are not finite"):
        plot_lines([("a", torch.zeros(1, 3) / 0)])
    with pytest.raises(ValueError, match="columns must lie in 1..100, got 0"):
        plot_lines([("a", torch.zeros(1, 3))], columns=0)


def test_png_is_lossless(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write(tmp_path / "a.png", as_png(Image.fromarray(pixels)))
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), pixels)


def test_paper_stays_white_in_a_gif(tmp_path):
    made = [scatter_frame([("a", torch.randn(300, 2))], panel_size=150) for _ in range(2)]
    write_gif(made, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        assert gif.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_the_colours_of_a_few_dots_are_kept_in_a_gif(tmp_path):
    random = np.random.default_rng(0)
    made = []
    for _ in range(5):
        grey = random.normal(150, 30, (400, 400, 1)).clip(0, 255).astype(np.uint8)
        pixels = grey.repeat(3, 2)
        pixels[:10, :10], pixels[:10, 20:30] = BLUE, ORANGE
        made.append(Image.fromarray(pixels))
    write_gif(made, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(4)
        for x, colour in ((5, BLUE), (25, ORANGE)):
            found = np.array(gif.convert("RGB").getpixel((x, 5)))
            assert np.abs(found - colour).max() <= 40


# Wrong types


POINTS = torch.zeros(4, 2)
IMAGES = torch.zeros(4, 1, 8, 8)
CALLS = [
    (plot_confusion, {"matrix": torch.eye(2), "class_names": ["a", "b"]}),
    (
        plot_label_histogram,
        {
            "proportions": torch.ones(2),
            "reference_proportions": torch.ones(2),
            "class_names": ["a", "b"],
        },
    ),
    (thin, {"count": 5, "most": 3}),
    (write_gif, {"frames": frames(1), "path": "a.gif", "fps": 5, "hold": 1}),
    (plot_history, {"rows": [{"step": 1, "loss": 2.0}], "held_out": "later"}),
    (to_uint8, {"x": IMAGES}),
    (
        image_grid,
        {
            "images": np.zeros((4, 8, 8, 1), np.uint8),
            "columns": 2,
            "scale": 1,
            "border": 1,
            "row_names": ["a", "b"],
            "column_names": ["a", "b"],
            "names": list("abcd"),
            "title": "t",
        },
    ),
    (
        grid_frames,
        {
            "states": [IMAGES],
            "columns": 2,
            "captions": ["a"],
            "scale": 1,
            "row_names": ["a", "b"],
            "names": list("abcd"),
        },
    ),
    (pair_grid, {"samples": IMAGES, "neighbours": IMAGES, "columns": 2, "title": "t"}),
    (plot_lines, {"panels": [("a", POINTS)], "columns": 1}),
    (closest_points, {"panels": [("a", POINTS, POINTS)], "curve": [POINTS], "limits": (-1, 1)}),
    (plot_distance, {"steps": [1], "distances": [1], "x_label": "t"}),
    (
        scatter_frame,
        {
            "panels": [("a", POINTS)],
            "columns": 1,
            "limits": (-1, 1),
            "panel_size": 100,
            "alpha": 0.5,
        },
    ),
]
OPTIONAL = {"scale", "row_names", "column_names", "names", "title", "captions", "columns"}


@pytest.mark.parametrize(
    ("call", "arguments", "name"),
    [(call, arguments, name) for call, arguments in CALLS for name in arguments],
)
def test_wrong_types_are_refused_by_name(call, arguments, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(**arguments)
    wrong = [b"5", 1.5j, object(), {"a": 1}, [None], [1j, 1j], [torch.ones(2) > 0] * 2, POINTS > 0]
    wrong += [POINTS.to(torch.complex64)]
    wrong += [] if name in OPTIONAL else [None]
    wrong += [] if name in ("path", "title", "x_label", "held_out") else ["5"]
    for value in wrong:
        with pytest.raises((TypeError, ValueError)) as refused:
            call(**{**arguments, name: value})
        message = str(refused.value)
        assert name in message or "captions for" in message
        assert "denoising_diffusion" in str(refused.traceback[-1].path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(value):
    bad = torch.full((2, 2), value)
    for call, message in (
        (lambda: to_uint8(bad.expand(1, 1, 2, 2)), "x holds values that are not finite"),
        (lambda: scatter_frame([("a", bad)]), r"panels\[0\]\[1\] holds values"),
        (lambda: scatter_frame([("a", POINTS)], alpha=value), "alpha must lie in"),
        (lambda: scatter_frame([("a", POINTS)], limits=(0, value)), r"limits\[1\] must be"),
        (lambda: plot_confusion(bad, ["a", "b"]), "matrix holds values"),
        (lambda: plot_label_histogram(bad[0], bad[0], ["a", "b"]), "proportions holds values"),
        (lambda: plot_distance([1, 2], [1, value]), "distances must be a finite number"),
        (lambda: write_gif(frames(2), "a.gif", fps=value), "fps must be a finite number"),
        (lambda: write_gif(frames(2), "a.gif", hold=value), "hold must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
