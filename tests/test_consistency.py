"""Consistency training and sampling, against the solution of the ODE of Gaussian data."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    ConsistencyLoss,
    GaussianDiffusion,
    Schedule,
    absolute_error,
    as_rows,
    consistency,
    cosine_beta_schedule,
    last,
    linear_beta_schedule,
    squared_error,
    stream,
    zero_terminal,
)
from denoising_diffusion.consistency_loss import continuous_times, huber

COSINE = Schedule.from_betas(cosine_beta_schedule(100))
ZERO = zero_terminal(Schedule.from_betas(linear_beta_schedule(100)))
MEAN, STD = 0.4, 0.3


def norm(alpha: Tensor, sigma: Tensor) -> Tensor:
    return torch.hypot(STD * alpha, sigma)


class Ends(nn.Module):
    """A v network whose estimate is where the ODE of N(MEAN, STD²) ends, off by `off` sin(φ) z.

    z = (x_t - alpha mean) / std of x_t is kept along the ODE, which ends in mean + std z.
    """

    def __init__(self, schedule: Schedule, off: float = 0.0):
        super().__init__()
        self.schedule = schedule
        self.off = nn.Parameter(torch.tensor(off, dtype=torch.float64))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.seen.append(t)
        alpha, sigma = (v[:, None] for v in self.schedule(t))
        square = alpha**2 + sigma**2
        z = (x - alpha * MEAN) / norm(alpha, sigma)
        end = MEAN + (STD + self.off * sigma / square.sqrt()) * z
        return (end - alpha / square * x) / (-sigma / square)


def model(schedule: Schedule = COSINE, off: float = 0.0) -> GaussianDiffusion:
    return GaussianDiffusion(schedule, (1,), Ends(schedule, off), "v")


# The nodes of a Gauss-Hermite rule: means over data and noise of squares are exact.
POINT, WEIGHT = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(6))
X = (MEAN + STD * POINT).repeat_interleave(6)[:, None]
NOISE = POINT.repeat(6)[:, None]
SHARE = torch.outer(WEIGHT, WEIGHT).flatten() / WEIGHT.sum() ** 2


def expected(d: GaussianDiffusion, t: float, gap: float) -> Tensor:
    loss = ConsistencyLoss(squared_error)
    return (SHARE * loss.losses(d, X, torch.full((36,), t), NOISE, gap=gap)).sum()


def correlation(t: float, r: float) -> float:
    """Of z at t and at r, of the same data and noise."""
    (a, s), (b, q) = COSINE(t), COSINE(r)
    return ((a * b * STD**2 + s * q) / (norm(a, s) * norm(b, q))).item()


def angle(t: float) -> float:
    return math.atan2(*(v.item() for v in reversed(COSINE(t))))


@pytest.mark.parametrize("t", [8.0, 40.0, 96.0])
def test_at_the_solution_the_loss_is_what_noise_and_data_leave_and_vanishes_with_the_gap(t):
    values = []
    for gap in (0.5, 0.25, 0.125, 0.0625):
        r = t * (1 - gap)
        value = expected(model(), t, gap).item()
        wanted = 2 * STD**2 * (1 - correlation(t, r)) / (angle(t) - angle(r))
        assert value == pytest.approx(wanted, rel=1e-5)
        values.append(value)
    orders = [math.log2(a / b) for a, b in pairwise(values)]
    assert orders[-1] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("t", [8.0, 40.0, 96.0])
def test_the_solution_is_the_fixed_point_as_the_gap_vanishes(t):
    def slope(off: float, gap: float) -> float:
        d = model(off=off)
        (found,) = torch.autograd.grad(expected(d, t, gap), [d.denoise_fn.off])
        return found.item()

    for gap in (0.5, 0.125):
        r = t * (1 - gap)
        wanted = 2 * STD * (1 - correlation(t, r)) * math.sin(angle(t)) / (angle(t) - angle(r))
        assert slope(0.0, gap) == pytest.approx(wanted, rel=1e-4)
    slopes = [slope(0.0, gap) for gap in (0.125, 0.0625, 0.03125)]
    assert slopes[0] > 1.7 * slopes[1] > 1.7**2 * slopes[2] > 0  # of order 1 in the gap
    # What is too wide at t is narrowed, and what is too narrow widened.
    assert slope(0.2, 0.0625) > 0 > slope(-0.2, 0.0625)


def test_where_r_is_0_the_target_is_the_data():
    d, t = model(off=0.1), torch.full((36,), 40.0)
    error = (d.denoise(d.q_sample(X, t, NOISE), t) - X).square().mean(1)
    torch.testing.assert_close(
        ConsistencyLoss(squared_error).losses(d, X, t, NOISE, gap=1.0), error / angle(40)
    )
    t = torch.full((36,), 1.5)  # r = 0.75 lies below the first row
    error = (d.denoise(d.q_sample(X, t, NOISE), t) - X).square().mean(1)
    torch.testing.assert_close(
        ConsistencyLoss(squared_error).losses(d, X, t, NOISE, gap=0.5), error / angle(1.5)
    )


def test_errors_per_element_and_per_sample_and_weights_count():
    d, t = model(off=0.1), torch.linspace(2, 100, 36)
    one = ConsistencyLoss(absolute_error).losses(d, X, t, NOISE)
    two = ConsistencyLoss(lambda a, b: (a - b).abs().mean(1)).losses(d, X, t, NOISE)
    assert torch.equal(one, two)
    weighted = ConsistencyLoss(absolute_error, weight=lambda log_snr: log_snr.exp()).losses(
        d, X, t, NOISE
    )
    alpha, sigma = COSINE(t)
    torch.testing.assert_close(weighted, one * (alpha / sigma) ** 2)


@pytest.mark.parametrize(("done", "gap"), [(0.0, 1.0), (0.25, 1 / 8), (0.5, 1 / 64), (1.0, 1 / 64)])
def test_the_gap_shrinks_geometrically_over_the_first_half(done, gap):
    d = model()
    loss = ConsistencyLoss(times=continuous_times, progress=lambda: done, gap=1 / 64)
    loss(d, (X,), stream(0, "gap"))
    earlier, t = d.denoise_fn.seen
    r = t * (1 - gap)
    torch.testing.assert_close(earlier, torch.where(r < 1, 1.0, r), rtol=1e-5, atol=0)


def test_only_the_later_estimate_is_trained_and_both_see_one_dropout():
    masks: list[Tensor] = []

    class Dropping(nn.Module):
        weight = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            kept = nn.functional.dropout(torch.ones_like(x), 0.5, self.training)
            masks.append(kept)
            return kept * self.weight

    d = GaussianDiffusion(COSINE, (1,), Dropping(), "v")
    for _ in range(2):
        ConsistencyLoss()(d, (X.float(),), stream(0, "x")).backward()
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[2], masks[3])
    assert not torch.equal(masks[0], masks[2])
    assert not masks[0].requires_grad


def test_both_estimates_see_the_same_conditions():
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return x

    d = GaussianDiffusion(COSINE, (1,), network, "v")
    loss = ConsistencyLoss(conditions=lambda batch, g: (batch[1] * 2,))
    loss(d, (X, torch.arange(36)), stream(0, "x"))
    assert len(seen) == 2
    assert all(torch.equal(v, 2 * torch.arange(36)) for v in seen)


@pytest.mark.parametrize("prediction", ["v", "noise", "velocity", "edm"])
def test_at_t_0_the_estimate_is_x(prediction):
    d = GaussianDiffusion(COSINE, (1,), lambda x, t: 0 * x, prediction)
    assert [v.item() for v in d.coefficients(torch.tensor(0))] == [1, 0]
    assert ConsistencyLoss()(d, (X,), stream(0, "x")).isfinite()


def test_what_is_not_x_at_t_0_is_refused():
    d = GaussianDiffusion(COSINE, (1,), lambda x, t: x, "x_start")
    with pytest.raises(ValueError, match="x_start prediction cannot be made consistent"):
        ConsistencyLoss()(d, (X,), stream(0, "x"))


def test_the_held_out_loss_never_changes_and_forgets_no_row():
    d, loss = model(), ConsistencyLoss(squared_error)
    x = torch.randn(2500, 1, generator=stream(0, "held out"), dtype=torch.float64) * STD + MEAN
    value = loss.held_out(d, as_rows((x,)))
    assert value == loss.held_out(d, as_rows((x,)))
    t = continuous_times(COSINE, 2500, stream(0, "validation"))
    r = (1 - loss.gap) * t
    wanted = [
        2 * STD**2 * (1 - correlation(a, b if b >= 1 else 0.0)) / (angle(a) - angle(b * (b >= 1)))
        for a, b in zip(t.tolist(), r.tolist(), strict=True)
    ]
    assert value == pytest.approx(np.mean(wanted), rel=0.1)


@pytest.mark.parametrize("times", [[100, 0], [100, 50, 0], [100, 93.5, 20, 3, 0]])
def test_with_the_solution_every_number_of_steps_draws_the_data_exactly(times):
    d = model(ZERO)
    rows = 1 + len(times)
    x, drawn = torch.zeros(rows, 1, dtype=torch.float64), iter(range(2, rows))
    x[1] = ZERO.sigma[-1]

    def one_hot(like: Tensor) -> Tensor:
        noise = torch.zeros_like(like)
        noise[next(drawn)] = 1
        return noise

    with torch.no_grad():
        end = last(consistency(d.denoise, ZERO, x, times, randn_like=one_hot))
    assert torch.equal(end.x, end.x_start)
    assert end.x[0].item() == pytest.approx(MEAN, abs=1e-7)
    variance = (end.x[1:] - end.x[0]).square().sum().item()
    assert variance == pytest.approx(STD**2, rel=1e-6)


def test_huber_is_the_root_of_large_errors_and_the_square_of_small_ones():
    a = torch.zeros(3, 4)
    b = torch.tensor([[1e-4] * 4, [3.0] * 4, [4.0, 0, 0, 0]])
    c = 0.1
    wanted = torch.tensor([1e-8 / (2 * c), math.hypot(3, c) - c, math.hypot(2, c) - c])
    torch.testing.assert_close(
        huber(b.double(), a.double(), c=c), wanted.double(), rtol=1e-6, atol=0
    )
    for c in (0.0, math.nan):
        with pytest.raises(ValueError, match="c must be a finite number above 0"):
            huber(a, b, c=c)


def test_continuous_times_have_one_in_each_of_n_equal_parts():
    t = continuous_times(COSINE, 500, stream(0, "t"))
    place = (t.sort().values - 1) / 99 * 500
    k = torch.arange(500, dtype=torch.float64)
    assert ((place >= k) & (place <= k + 1)).all()
    assert not torch.equal(t, t.sort().values)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ConsistencyLoss(gap=0.0), r"gap must lie in \(0, 1\], got 0"),
        (lambda: ConsistencyLoss(gap=1.5), r"gap must lie in \(0, 1\], got 1.5"),
        (lambda: ConsistencyLoss(progress=0.5), "progress must be callable"),
        (
            lambda: ConsistencyLoss(progress=lambda: 2.0)(model(), (X,), stream(0, "x")),
            r"progress must lie in \[0, 1\], got 2",
        ),
        (lambda: ConsistencyLoss()(nn.Linear(1, 1), (X,), stream(0, "x")), "GaussianDiffusion"),
        (
            lambda: consistency(None, COSINE, X, [3, 0]),
            "denoise must be callable",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make()


def test_it_is_found_by_name():
    from denoising_diffusion import tables

    loss = tables.bound("objective", {"name": "consistency", "gap": 0.25})(
        partial(huber, c=0.1), continuous_times
    )
    assert (loss.gap, replace(loss, gap=0.5).gap) == (0.25, 0.5)
    with pytest.raises(ValueError, match=r"consistency takes no gep; it takes .*gap"):
        tables.bound("objective", {"name": "consistency", "gep": 0.25})
