from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.files import as_png, write
from denoising_diffusion.metrics import memorisation
from denoising_diffusion.report.confusion import plot_confusion, plot_label_histogram
from denoising_diffusion.report.images import image_grid, pair_grid, to_uint8

DIGITS = list("0123456789")
BLUE, ORANGE = (47, 109, 181), (224, 123, 57)


def pixels(image):
    return np.asarray(image.convert("RGB")).astype(int)


def close_to(image, colour):
    return np.abs(pixels(image) - colour).max(2) <= 4


def dark(image):
    """Cells whose share is 1 have the end of the scale; axes, text and frames are grey."""
    return close_to(image, (8, 48, 107))


def cells(image, box, count):
    """The share of dark pixels in every cell of a square that is cut into count x count."""
    top, bottom, left, right = box
    rows, columns = (
        np.linspace(top, bottom, count + 1).astype(int),
        np.linspace(left, right, count + 1).astype(int),
    )
    mask = dark(image)
    return np.array(
        [[mask[a:b, c:d].mean() for c, d in pairwise(columns)] for a, b in pairwise(rows)]
    )


def box_of(image):
    rows, columns = np.nonzero(dark(image))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


# Confusion


@pytest.mark.parametrize("count", [2, 10])
def test_a_diagonal_matrix_is_dark_on_the_diagonal_alone(count):
    image = plot_confusion(torch.eye(count) * 7, DIGITS[:count])
    assert image.mode == "RGB" and image.size == (max(512, 46 * count + 90),) * 2
    shares = cells(image, box_of(image), count)
    assert (np.diag(shares) > 0.7).all()
    assert (shares - np.diag(np.diag(shares)) < 0.1).all()


def test_rows_were_asked_for_and_columns_read():
    box = box_of(plot_confusion(torch.eye(10), DIGITS))
    matrix = torch.zeros(10, 10, dtype=torch.int64)
    matrix[:, 2] = 5  # whatever was asked for, 2 was read
    shares = cells(plot_confusion(matrix, DIGITS), box, 10)
    assert (shares[:, 2] > 0.7).all() and (np.delete(shares, 2, axis=1) < 0.1).all()
    matrix = torch.zeros(10, 10, dtype=torch.int64)
    matrix[3, 8] = 1
    assert np.unravel_index(cells(plot_confusion(matrix, DIGITS), box, 10).argmax(), (10, 10)) == (
        3,
        8,
    )


def test_a_larger_share_is_darker_and_rare_classes_show():
    matrix = torch.tensor([[1000, 0], [1, 3]])
    image = plot_confusion(matrix, ["a", "b"])
    top, bottom, left, right = box_of(plot_confusion(torch.eye(2), ["a", "b"]))
    height, width = (bottom - top) // 2, (right - left) // 2
    corners = {
        (r, c): pixels(image)[top + r * height + 6, left + c * width + 6].sum()
        for r in (0, 1)
        for c in (0, 1)
    }
    assert corners[0, 0] < corners[1, 1] < corners[1, 0] < corners[0, 1]


def test_counts_are_written_in_the_cells():
    empty, full = (plot_confusion(torch.full((3, 3), n), DIGITS[:3]) for n in (1, 88888))
    assert (np.asarray(empty) != np.asarray(full)).any(2).sum() > 9 * 100


def test_long_names_and_many_classes_are_a_png(tmp_path):
    names = [f"a long name {i}" for i in range(25)]
    image = plot_confusion(torch.eye(25), names)
    write(tmp_path / "confusion.png", as_png(image))
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.size == (46 * 25 + 90,) * 2


def test_confusion_complains():
    for bad in (torch.zeros(2, 3), torch.zeros(4), -torch.eye(2)):
        with pytest.raises(ValueError, match=r"matrix must .*shape \(c, c\), got"):
            plot_confusion(bad, DIGITS[:2])
    with pytest.raises(ValueError, match="got 2 class_names for 3 classes"):
        plot_confusion(torch.eye(3), DIGITS[:2])
    with pytest.raises(ValueError, match="got 0 class_names for 0 classes"):
        plot_confusion(torch.zeros(0, 0), [])


# Shares


def bar_heights(image, colour):
    """The height of every bar, from left to right; the legend lies above all bars."""
    tall = close_to(image, colour)[40:].sum(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tall > 0, [0]])))
    return [int(tall[(a + b) // 2]) for a, b in edges.reshape(-1, 2)]


def test_bars_are_as_high_as_the_shares():
    shares, real = torch.tensor([0.4, 0.1, 0.3, 0.2]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    image = plot_label_histogram(shares, real, list("abcd"))
    assert image.size == (640, 360)
    for values, colour in ((shares, BLUE), (real, ORANGE)):
        heights = bar_heights(image, colour)
        unit = max(heights) / 0.4
        assert unit > 400
        assert [h / unit for h in heights] == pytest.approx(values.tolist(), abs=2 / unit)


def test_an_absent_class_has_no_bar():
    image = plot_label_histogram(torch.tensor([1.0, 0]), torch.tensor([0.5, 0.5]), ["a", "b"])
    assert len(bar_heights(image, BLUE)) == 1 and len(bar_heights(image, ORANGE)) == 2


def test_shares_complain():
    with pytest.raises(
        ValueError, match=r"reference_proportions must have shape \(2,\), got \(3,\)"
    ):
        plot_label_histogram(torch.ones(2), torch.ones(3), ["a", "b"])
    with pytest.raises(ValueError, match="got 1 class_names for 2 classes"):
        plot_label_histogram(torch.ones(2), torch.ones(2), ["a"])


# Pairs


@pytest.mark.parametrize("channels", [1, 3])
def test_the_neighbour_is_below_its_sample(channels):
    levels = torch.linspace(-1, 0.9, 10).view(10, 1, 1, 1).expand(10, channels, 8, 8)
    samples, neighbours = levels[:5], levels[5:]
    grid = pair_grid(samples, neighbours, columns=3)
    white = torch.ones(1, channels, 8, 8)
    by_hand = torch.cat([samples[:3], neighbours[:3], samples[3:], white, neighbours[3:], white])
    expected = image_grid(to_uint8(by_hand), 3, row_names=["sample", "nearest"] * 2)
    assert np.array_equal(np.asarray(grid), np.asarray(expected))


def test_few_pairs_take_few_columns():
    x = torch.zeros(2, 1, 8, 8)
    plain, titled = pair_grid(x, x), pair_grid(x, x, title="pairs")
    assert np.array_equal(np.asarray(plain), np.asarray(pair_grid(x, x, columns=2)))
    assert titled.height > plain.height


def test_copies_look_alike():
    train = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = memorisation(train[[3, 30]], train, train[:5] + 0.1)
    grid = np.asarray(pair_grid(train[[3, 30]], train[found.indices], columns=2))[:, -516:]
    assert np.array_equal(grid[2:258], grid[260:516])


def test_pairs_complain():
    x = torch.zeros(2, 1, 8, 8)
    message = r"neighbours must have shape \(2, 1, 8, 8\), got \(1, 1, 8, 8\)"
    with pytest.raises(ValueError, match=message):
        pair_grid(x, x[:1])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        pair_grid(x, x, columns=0)
    with pytest.raises(ValueError, match="samples holds no images"):
        pair_grid(x[:0], x[:0], columns=3)
