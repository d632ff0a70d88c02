"""Where images stand, and what the animations of walks begin with."""

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from denoising_diffusion.kinds.arranged import arranged, paired
from denoising_diffusion.report.gif import as_gif
from denoising_diffusion.run import animate, show
from denoising_diffusion.samplers import ddim, time_grid
from denoising_diffusion.sampling import sample
from test_draw import digits, small  # noqa: F401

TEN = [str(i) for i in range(10)]


def in_turn(labels, num):
    return [labels[i % len(labels)] for i in range(num)]


@pytest.mark.parametrize(
    ("labels", "num", "columns", "rows"),
    [
        (TEN, 80, 8, TEN),
        (TEN, 85, 9, TEN),
        (["3"], 80, 9, ["3"] + 8 * [""]),
        (["3"], 1, 1, ["3"]),
        (["3"], 16, 4, ["3", "", "", ""]),
        (["3", "8"], 80, 10, ["3", "", "", "", "8", "", "", ""]),
        (["8", "none", "3"], 9, 3, ["8", "none", "3"]),
    ],
)
def test_classes_have_rows_of_their_own_with_a_name(labels, num, columns, rows):
    names = in_turn(labels, num)
    place = arranged(num, names)
    assert (place.columns, place.row_names, place.names) == (columns, rows, None)
    assert sorted(i for i in place.order if i >= 0) == list(range(num))
    assert len(place.order) == columns * len(rows)
    name = ""
    for r, head in enumerate(rows):
        name = head or name
        row = place.order[r * columns : (r + 1) * columns]
        assert {names[i] for i in row if i >= 0} == {name}


@pytest.mark.parametrize("num", [3, 10, 16, 20])
def test_names_stand_above_where_rows_of_classes_would_be_a_tower(num):
    names = in_turn(TEN, num)
    place = arranged(num, names)
    assert place.order == list(range(num)) and place.names == names and place.row_names is None


def test_every_grid_of_more_than_three_is_nearly_square():
    for labels in ([], ["a"], ["a", "b"], TEN, [str(i) for i in range(47)]):
        for num in range(4, 400, 7):
            place = arranged(num, in_turn(labels, num) if labels else None)
            rows = -(-len(place.order) // place.columns)
            assert max(rows, place.columns) <= 2 * min(rows, place.columns)


def test_empty_places_are_paper():
    x = torch.zeros(5, 1, 2, 2)
    shown = arranged(5, ["a", "a", "a", "b", "b"]).of(x)
    assert shown.flatten(1).mean(1).tolist() == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("num", [1, 5, 6, 7, 30])
def test_estimates_stand_below_their_states(num):
    place = paired(num, in_turn(TEN, num))
    rows = [place.order[i : i + place.columns] for i in range(0, len(place.order), place.columns)]
    assert place.row_names == ["x_t", "x_0"] * (len(rows) // 2)
    for states, estimates in zip(rows[::2], rows[1::2], strict=True):
        assert [i + num if i >= 0 else i for i in states] == estimates
    assert [i for row in rows[::2] for i in row if i >= 0] == list(range(num))
    assert place.names == ["" if i < 0 else TEN[i % num % 10] for i in place.order]


def test_states_begin_at_noise_and_have_their_own_estimates(small):  # noqa: F811
    _, model, _ = small
    seen = []

    def denoise(x, t):
        seen.append((x, float(t[0])))
        return 0.5 * x

    times = time_grid(100, 4)
    steps = sample(model, 3, sampler=partial(ddim, eta=0.5), times=times, denoise=denoise, seed=7)
    x = animate.start(model, 3, 7)[0]
    found = list(animate.states(x, 100.0, steps))
    assert [s.t for s in found] == list(times)
    for state, (x, t) in zip(found, seen, strict=False):
        torch.testing.assert_close(state.x, x, rtol=0, atol=0)
        torch.testing.assert_close(state.x_start, 0.5 * x, rtol=0, atol=0)
        assert state.t == t
    assert found[-1].x.equal(found[-1].x_start)


@pytest.mark.parametrize("of", ["state", "estimate", "both"])
def test_frames_begin_with_the_noise_that_is_sampled_and_end_with_the_samples(small, of):  # noqa: F811
    run, model, wish = small
    walked = list(animate.walked(run, model, wish))
    assert [s.t for s in walked] == [100, 80, 60, 40, 20, 0]
    assert walked[0].x.equal(animate.start(model, 40, wish.seed)[0])
    frames = animate.frames_of(run, model, wish, of)
    assert len(frames) == 6 and len({f.size for f in frames}) == 1
    if of != "both":
        picture = run.kind.picture(walked[-1].x, show.names_of(run, wish)).image()
        title = frames[-1].height - picture.height
        below = frames[-1].crop((0, title, *frames[-1].size))
        assert title > 0 and np.array_equal(np.asarray(below), np.asarray(picture))
    assert Image.open(io.BytesIO(as_gif(frames))).n_frames == 6
