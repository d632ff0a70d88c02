"""The numbers on a page: packed values, sheets, charts and rulers against what they are made of."""

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion.report.page import asset, render
from denoising_diffusion.report.page.chart import HEIGHT, chart, even_ticks
from denoising_diffusion.report.page.classes import classes_of
from denoising_diffusion.report.page.rulers import closeness, rulers
from denoising_diffusion.report.page.values import packed, sheet


def unpacked(p):
    steps = np.frombuffer(base64.b64decode(p["data"]), "<u2").astype(float)
    return (p["low"] + (p["high"] - p["low"]) * steps / 65535).reshape(p["shape"])


def opened(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_packed_numbers_come_back_within_half_a_step():
    x = np.random.default_rng(0).normal(size=(3, 5, 2)) * 1e3
    back = unpacked(packed(x))
    assert np.abs(back - x).max() <= 0.5001 * (x.max() - x.min()) / 65535
    assert (back.min(), back.max()) == pytest.approx((x.min(), x.max()), rel=1e-12)
    assert unpacked(packed(np.full((2, 2), 7.0))).tolist() == [[7.0, 7.0], [7.0, 7.0]]
    for bad in (np.empty((0, 2)), np.array([1.0, math.nan])):
        with pytest.raises(ValueError, match="numbers to pack must be finite"):
            packed(bad)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_tile_of_a_sheet_stands_where_its_row_and_number_say(channels):
    tiles = np.random.default_rng(1).integers(0, 256, (4, 6, 3, 5, channels), dtype=np.uint8)
    found = opened(sheet(list(tiles))).reshape(12, 30, channels)
    for r in range(4):
        for k in range(6):
            assert (found[3 * r : 3 * r + 3, 5 * k : 5 * k + 5] == tiles[r, k]).all()


def test_few_levels_are_even_keep_the_ends_and_round():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    found = opened(sheet([ramp], 16)).reshape(-1)
    assert sorted(set(found.tolist())) == [17 * k for k in range(16)]
    assert np.abs(found.astype(int) - np.arange(256)).max() <= 9


def test_a_chart_puts_points_and_ticks_on_one_scale():
    drawn = chart("x", [("a", [(0, 1.0), (1, 10.0), (2, 100.0)])], "x", "y", log=True)
    ys = [float(p.split(",")[1]) for p in drawn.lines[0].points.split()]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.11)  # decades are equally long
    ticks = {t.text: t.at for t in drawn.y_ticks}
    assert [ticks["1"], ticks["10"], ticks["100"]] == pytest.approx(ys, abs=0.11)
    assert all(0 < y < HEIGHT for y in ys)
    assert chart("x", [("a", [(0, math.nan)])], "x", "y") is None
    assert [t.text for t in drawn.x_ticks] == ["0", "1", "2"]  # there is no epoch 0.5
    many = chart("x", [("a", [(float(i), float(i)) for i in range(5000)])], "x", "y")
    assert len(many.lines[0].points.split()) <= 402


def test_even_ticks_are_round_and_inside():
    assert even_ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert even_ticks(0.5, 3.5) == [1, 2, 3]
    assert even_ticks(-0.013, 0.013) == [-0.01, 0, 0.01]


def test_a_ruler_is_logarithmic_between_noise_and_real_data():
    scores = {"fld": 10.0, "fld_interval": 2.0, "floor": 1.0, "ceiling": 100.0}
    (main,) = rulers({**scores, "num_samples": 8})
    assert (main.at, main.main, main.interval) == (50.0, True, "2")
    low, width = main.band
    assert low == pytest.approx(100 * math.log(100 / 12) / math.log(100), abs=0.01)
    assert width == pytest.approx(100 * math.log(12 / 8) / math.log(100), abs=0.02)
    assert main.ends == ("noise 100", "real data 1")
    assert closeness(main) == "half-way from noise to real data"


def test_scores_that_nobody_described_are_shown_by_their_key():
    main, share, odd = rulers(
        {"my_distance": 0.5, "floor": 0.0, "ceiling": 1.0, "label_agreement": 0.25,
         "classifier_accuracy": 0.9, "odd_one": None, "odd_two": 3.0, "odd_two_floor": 1.0}
    )  # fmt: skip
    assert (main.title, main.at) == ("My distance", 50.0)  # a floor of 0 has no logarithm
    assert (share.at, share.value, share.beside) == (25.0, "25.00%", "classifier accuracy 90.00%")
    assert (odd.title, odd.at, odd.beside) == ("Odd two", None, "floor 1")
    assert rulers({}) == []


def test_a_longer_key_keeps_what_is_its_own():
    ends = {"kid_floor": 1.0, "kid_ceiling": 9.0, "kid_random_floor": 1.0}
    found = rulers({"fld": 1.0, "kid": 2.0, "kid_random": 3.0, **ends})
    assert [r.key for r in found] == ["fld", "kid", "kid_random"]
    assert [r.beside for r in found] == ["", "", "floor 1"]
    assert [r.ends[0] for r in found[1:]] == ["noise 9", ""]


def test_classes_are_told_as_far_as_they_are_there():
    scores = {"class_proportions": [0.75, 0.25], "confusion": [3.0, 0.0, 1.0, 1.0]}
    found = classes_of(("a", "b"), scores)
    assert [s["width"] for s in found["shares"]] == [100.0, 33.3]
    assert [[c["count"] for c in row] for row in found["confusion"]] == [[3, 0], [1, 1]]
    assert [[c["tint"] for c in row] for row in found["confusion"]] == [[90, 0], [45, 45]]
    assert classes_of(("a", "b"), {}) is None
    assert classes_of((), {}) is None


def test_every_text_of_a_page_is_escaped():
    evil = "</script><img src=x onerror=alert(1)>'\""
    shown = {"title": evil, "headline": evil, "lead": evil, "runs": [], "rows": [], "version": evil}
    text = render(**shown, loss=None, schedules={"title": evil, "x_label": evil, "y_label": evil,
                  "lines": [], "x_ticks": [], "y_ticks": [], "width": 1, "height": 1,
                  "box": [0, 0, 1, 1]})  # fmt: skip
    assert "<img" not in text
    assert text.count("</script>") == 1
    assert asset("page.js") in text
