import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.report.files import replacing, write_png
from denoising_diffusion.report.gif import thin, write_gif
from denoising_diffusion.report.history import plot_history
from denoising_diffusion.report.images import grid_frames, image_grid, to_uint8
from denoising_diffusion.report.points import (
    closest_points,
    plot_distance,
    scatter_frame,
    scatter_panels,
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


def test_a_failed_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_gif_complains(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="one size and one mode"):
        write_gif([*frames(1), *frames(1, "RGB")], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="fps and hold"):
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
    grid = image_grid(images, 3)
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
    assert image_grid(np.zeros((1, 28, 28, 1), np.uint8), 1).size == (60, 60)
    assert image_grid(np.zeros((1, 64, 64, 3), np.uint8), 1).size == (68, 68)


def test_names_and_title_take_room_and_leave_the_tiles_alone():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    plain, named = image_grid(images, 2), image_grid(images, 2, row_names=["a", "b"], title="T")
    left, top = named.width - plain.width, named.height - plain.height
    assert left > 0 and top > 0
    pixels = np.asarray(named)
    assert np.array_equal(pixels[top:, left:], np.asarray(plain))
    assert (pixels[:top] < 255).any() and (pixels[top:, :left] < 255).any()


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
    with pytest.raises(ValueError, match="columns and scale"):
        image_grid(images, 0)
    with pytest.raises(ValueError, match="3 names for 2 rows"):
        image_grid(images, 2, row_names=["a", "b", "c"])


# Plots


def test_scatter_sizes_and_any_number_of_columns():
    points = torch.randn(100, 2)
    assert scatter_frame([("t = 3", points)], panel_size=200).size == (200, 200)
    assert scatter_frame([("a", points)] * 4, columns=2, panel_size=150).size == (300, 300)
    row = scatter_panels([(f"t = {t}", points) for t in range(5)])
    assert row.size == (1000, 225) and row.mode == "RGB" and not_blank(row)
    for width in (1, 5):
        assert not_blank(scatter_frame([("a", torch.randn(50, width))]))


def test_closest_points_and_distance():
    x = torch.randn(300, 2)
    arc = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    picture = closest_points([("t = 1", x, x * torch.tensor([1.0, 0.0]))] * 5, [arc])
    assert picture.size == (1000, 225)
    assert not_blank(plot_distance([3, 2, 1, 0], [0.5, 0.3, 0.1, 0.01]))


def test_plots_complain():
    with pytest.raises(ValueError, match="no panels"):
        scatter_frame([])
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        scatter_panels([("a", torch.zeros(3))])
    with pytest.raises(ValueError, match="2 steps and 1 dist"):
        plot_distance([1, 2], [1.0])
    with pytest.raises(ValueError, match="must have one shape"):
        closest_points([("a", torch.zeros(3, 2), torch.zeros(2, 2))], [])


@pytest.mark.parametrize("rows", [1, 300])
def test_history_is_a_png(tmp_path, rows):
    history = [{"step": i, "loss": 1 / (i + 1)} for i in range(rows)]
    history[-1]["val_loss"] = 0.3
    plot_history([*history, {"step": rows, "val_loss": 0.2}], tmp_path / "history.png")
    with Image.open(tmp_path / "history.png") as picture:
        assert picture.format == "PNG" and not_blank(picture)
    with pytest.raises(ValueError, match="no row"):
        plot_history([], tmp_path / "b.png")


def test_png_is_lossless(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_png(Image.fromarray(pixels), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), pixels)


def test_paper_stays_white_in_a_gif(tmp_path):
    made = [scatter_frame([("a", torch.randn(300, 2))], panel_size=150) for _ in range(2)]
    write_gif(made, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        assert gif.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
