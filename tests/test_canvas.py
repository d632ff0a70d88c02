import numpy as np
import pytest
import torch

from denoising_diffusion.report import Canvas, side_by_side, style
from denoising_diffusion.report.raster import bars, depth_of_discs, paint

RED, BLUE = (255.0, 0.0, 0.0), (0.0, 0.0, 255.0)


def test_a_disc_covers_its_area_wherever_it_lies():
    for x, y in ((20.0, 20.0), (20.5, 20.25), (19.1, 20.9)):
        depth = depth_of_discs(np.array([[x, y]]), 40, 40, 6.0, 0.5)
        cover = (1 - np.exp(-depth)) / 0.5
        assert cover.sum() == pytest.approx(np.pi * 36, rel=0.02)
        assert cover.max() == pytest.approx(1) and depth[:10].max() == 0
        rows, columns = np.indices(cover.shape) + 0.5
        assert (cover * rows).sum() / cover.sum() == pytest.approx(y, abs=0.02)
        assert (cover * columns).sum() / cover.sum() == pytest.approx(x, abs=0.02)


def test_discs_leave_a_power_of_the_ground_and_layers_share_by_depth():
    depth = depth_of_discs(np.full((3, 2), 5.5), 11, 11, 2.0, 0.5)
    ground = np.full((11, 11, 3), 255, np.float32)
    paint(ground, [depth], [(0.0, 0.0, 0.0)])
    assert ground[5, 5] == pytest.approx(255 * 0.5**3)
    assert (ground[0] == 255).all()
    ground = np.zeros((11, 11, 3), np.float32)
    paint(ground, [depth, depth / 3], [RED, BLUE])
    seen = 255 * (1 - 0.5**4)
    assert ground[5, 5] == pytest.approx([0.75 * seen, 0, 0.25 * seen])


def test_discs_beyond_a_panel_are_cut_off_by_it():
    far = np.array([[-50.0, 5.0], [5.0, 1e9], [1e300, -1e300]])
    assert depth_of_discs(far, 11, 11, 2.0, 0.5).max() == 0
    whole = depth_of_discs(np.array([[5.0, 5.0]]), 11, 11, 2.0, 0.5)
    cut = depth_of_discs(np.array([[0.0, 5.0]]), 11, 11, 2.0, 0.5)
    np.testing.assert_allclose(cut[:, :6], whole[:, 5:], rtol=1e-6)


def test_bars_are_as_high_as_their_share():
    ground = np.zeros((100, 40, 3), np.float32)
    bars(ground, np.array([0.25, 1.0, 0.005, 0.0]), RED, 1.0)
    heights = (ground[..., 0] / 255).sum(0)
    assert heights.tolist() == pytest.approx([25.0] * 10 + [100.0] * 10 + [0.5] * 10 + [0.0] * 10)
    assert ground[-25:, :10, 0].min() == 255 and ground[:75, :10].max() == 0
    bars(ground, np.array([0.5, 0, 0, 0]), BLUE, 1.0, np.array([0.25, 0, 0, 0]))
    assert (ground[25:75, :10] == BLUE).all() and (ground[-25:, :10] == RED).all()


def blue(picture) -> np.ndarray:
    """Where the picture shows samples: (h, w) bool."""
    return np.abs(np.asarray(picture).astype(int) - np.rint(style.rgb(style.POINTS))).sum(2) < 120


def test_a_point_stands_where_the_axes_say_in_units_of_the_data():
    limits = [(58.0, 142.0), (0.29, 0.71)]
    canvas = Canvas(["a", "b"], limits)
    panel = canvas._panels[0].place
    for x, y in ((100.0, 0.5), (70.0, 0.6), (130.0, 0.4)):
        picture = canvas.draw(torch.tensor([[x, y]]).repeat(9, 1))
        rows, columns = np.nonzero(blue(picture))
        across = panel[0] + (x - 58) / 84 * panel[2]
        down = panel[1] + (0.71 - y) / 0.42 * panel[3]
        assert columns.mean() + 0.5 == pytest.approx(across, abs=0.6)
        assert rows.mean() + 0.5 == pytest.approx(down, abs=0.6)


def test_the_axes_lie_where_the_panels_are():
    canvas = Canvas(["a", "b", "c"], [(-1, 1)] * 3)
    picture = np.asarray(canvas.draw(torch.zeros(0, 3))).astype(int)
    frame = np.rint(style.rgb("#b8bec6")).astype(int)
    planes = [p.place for p in canvas._panels if p.x != p.y]
    assert len(planes) == 3 and len(canvas._panels) == 6
    for left, top, width, height in planes:
        for x in (left, left + width):
            column = picture[top + 5 : top + height - 5, x - 2 : x + 2]
            assert np.abs(column - frame).sum(2).min(1).max() < 60


def test_every_number_of_columns_has_a_picture_and_a_corner_stops_at_six():
    sizes = {}
    for d in (1, 2, 3, 6, 9):
        x = torch.randn(50, d)
        canvas = Canvas([f"c{i}" for i in range(d)], [(-3, 3)] * d, behind=x)
        sizes[d] = (len(canvas._panels), canvas.draw(x, "t = 1").size)
        assert not np.array_equal(canvas.draw(x), canvas.draw(x[:0]))
    assert [n for n, _ in sizes.values()] == [1, 1, 6, 21, 21]
    assert sizes[6][1] == sizes[9][1]
    named = Canvas(["a"] * 9, [(-3, 3)] * 9)._legend()
    assert named[-1][0] == "first 6 of 9 columns"


def test_classes_have_their_colours():
    canvas = Canvas(["a", "b"], [(-1, 1)] * 2, classes=["left", "right"])
    x = torch.tensor([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5]]).repeat(20, 1)
    picture = np.asarray(canvas.draw(x, labels=torch.tensor([1, 2, 0]).repeat(20))).astype(float)
    left, top, width, height = canvas._panels[0].place
    for (a, b), colour in (
        ((-0.5, 0.0), style.SERIES[0]), ((0.5, 0.0), style.SERIES[1]), ((0.0, 0.5), style.NEUTRAL)
    ):  # fmt: skip
        row, column = top + (1 - b) / 2 * height, left + (a + 1) / 2 * width
        assert picture[int(row), int(column)] == pytest.approx(style.rgb(colour), abs=2)
    many = [style.class_colour(i, 20) for i in range(20)]
    assert len(set(many)) == 20


def test_the_data_is_grey_behind():
    x = torch.zeros(40, 2)
    picture = Canvas(["a", "b"], [(-1, 1)] * 2, behind=x).draw(x[:0])
    middle = np.asarray(picture)[28 + 220, 66 + 220].astype(float)
    assert middle == pytest.approx(style.rgb(style.BEHIND), abs=2)


def test_pictures_stand_side_by_side():
    parts = [
        Canvas(["a"], [(0, 1)], bare=True, side=60).drawing(torch.rand(9, 1)) for _ in range(3)
    ]
    whole = side_by_side(parts, 2).image()
    width, height = parts[0].width, parts[0].height
    assert whole.size == (2 * width, 2 * height)
    third = whole.crop((0, height, width, 2 * height))
    assert np.array_equal(third, parts[2].image())
    with pytest.raises(ValueError, match="drawings must hold at least one"):
        side_by_side([], 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": []}, "limits must be one pair for each of names"),
        ({"names": [1]}, r"names\[0\] must be a str"),
        ({"limits": [(0, 1)]}, "limits must be one pair for each of names, got 1"),
        ({"limits": [(0, 1), (1, 1)]}, r"limits\[1\]\[1\] must be a finite number above 1"),
        ({"limits": [(0, 1), (0, 1, 2)]}, r"limits\[1\] must be two numbers"),
        ({"behind": torch.zeros(3, 3)}, "behind must have shape"),
        ({"behind": torch.full((3, 2), torch.nan)}, "behind holds values that are not finite"),
        ({"classes": "ab"}, "classes must be a sequence"),
        ({"side": 3}, "side must lie in"),
    ],
)
def test_a_canvas_complains(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Canvas(**{"names": ["a", "b"], "limits": [(0, 1)] * 2, **change})
    canvas = Canvas(["a", "b"], [(0, 1)] * 2)
    with pytest.raises(ValueError, match="points must have shape"):
        canvas.draw(torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"labels of shape \(2,\) for 3 points"):
        canvas.draw(torch.zeros(3, 2), labels=torch.zeros(2))
