"""Consistency distillation, against the walks of the teacher that it learns to take at once."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    ClassifierFreeGuidance,
    ConsistencyLoss,
    GaussianDiffusion,
    Schedule,
    absolute_error,
    as_rows,
    bound,
    clipped,
    cosine_beta_schedule,
    ddim,
    last,
    stream,
    time_grid,
    within_interval,
)
from denoising_diffusion.consistency_loss import continuous_times

COSINE = Schedule.from_betas(cosine_beta_schedule(100))
MEAN, STD = 0.4, 0.3


def rows(t: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = COSINE(t)
    return alpha[:, None], sigma[:, None]


def mean_of_data(x: Tensor, t: Tensor) -> Tensor:
    """E[x_start | x_t] of data N(MEAN, STD²)."""
    alpha, sigma = rows(t.double())
    return MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)


TEACHER = GaussianDiffusion(COSINE, (1,), mean_of_data, "x_start")


def ends_of(segments: int, t: Tensor) -> Tensor:
    ends = torch.tensor(time_grid(100, segments)[::-1], dtype=torch.float64)
    return ends[torch.searchsorted(ends, t) - 1]


def leading(x: Tensor, t: Tensor, x_s: Tensor, s: Tensor) -> Tensor:
    """The estimate from which one step of DDIM from x at t leads to x_s at s."""
    (alpha, sigma), (a, b) = rows(t), rows(s)
    return (x_s - b / sigma * x) / (a - b / sigma * alpha)


class Solution(nn.Module):
    """A v network that leads to the end of each segment as the ODE of N(MEAN, STD²) does.

    z = (x_t - alpha mean) / std of x_t is kept along the ODE.
    """

    def __init__(self, segments: int):
        super().__init__()
        self.segments = segments
        self.off = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        t = t.double()
        s = ends_of(self.segments, t)
        (alpha, sigma), (a, b) = rows(t), rows(s)
        z = (x - alpha * MEAN) / torch.hypot(STD * alpha, sigma)
        estimate = leading(x, t, a * MEAN + torch.hypot(STD * a, b) * z, s) + self.off
        return as_v(x, t, estimate)


class Chain(nn.Module):
    """A v network that leads to the end of each segment as the teacher's own steps do."""

    def __init__(self, segments: int, hops: int):
        super().__init__()
        self.segments, self.hops = segments, hops

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        answers = [self.one(x[i : i + 1], float(t[i])) for i in range(len(x))]
        return as_v(x, t.double(), torch.cat(answers))

    def one(self, x: Tensor, t: float) -> Tensor:
        grid = time_grid(100, self.segments)
        s = max(v for v in grid if v < t)
        hop = (min(v for v in grid if v >= t) - s) / self.hops
        times = [t]
        while times[-1] > s:
            r = max(float(s), times[-1] - hop)
            times.append(0.0 if r < 1 else r)
        end = last(ddim(mean_of_data, COSINE, x, times)).x
        return leading(x, torch.tensor([t]).double(), end, torch.tensor([s]).double())


def as_v(x: Tensor, t: Tensor, estimate: Tensor) -> Tensor:
    alpha, sigma = rows(t)
    return (alpha * x - estimate * (alpha**2 + sigma**2)) / sigma


def model(network: nn.Module) -> GaussianDiffusion:
    return GaussianDiffusion(COSINE, (1,), network, "v")


def batch(count: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Data, times in every segment, and noise."""
    g = stream(3, "rows")
    x, noise = (torch.randn(count, 1, generator=g, dtype=torch.float64) for _ in range(2))
    return MEAN + STD * x, torch.linspace(1, 100, count, dtype=torch.float64), noise


@pytest.mark.parametrize(("segments", "hops"), [(1, 1), (1, 7), (2, 4), (3, 5), (100, 1)])
def test_who_walks_as_the_teacher_does_has_no_loss(segments, hops):
    x, t, noise = batch()
    loss = ConsistencyLoss(teacher=TEACHER, segments=segments, hops=hops)
    # The network is called with times in float32.
    assert loss.losses(model(Chain(segments, hops)), x, t, noise).max() < 1e-9
    if (segments, hops) != (100, 1):
        other = Chain(segments, hops + 1)
        assert loss.losses(model(other), x, t, noise).max() > 1e-6


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_the_solution_of_the_ode_is_what_is_learned_as_hops_become_many(segments):
    x, t, noise = batch()
    t = t.clamp(min=100 / segments / 4)  # below, one hop reaches the data
    values = []
    for hops in (16, 32, 64, 128):
        loss = ConsistencyLoss(teacher=TEACHER, segments=segments, hops=hops)
        values.append(loss.losses(model(Solution(segments)), x, t, noise).mean().item())
    orders = [math.log2(a / b) for a, b in pairwise(values)]
    # A hop of DDIM errs by its square, and the loss is the square of that.
    assert orders[-1] == pytest.approx(4, abs=0.25)


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_as_many_steps_as_segments_draw_the_data_exactly(segments):
    z = torch.tensor([[-1.5], [0.0], [2.0]], dtype=torch.float64)
    alpha, sigma = (v.item() for v in COSINE(torch.tensor(100)))
    x = alpha * MEAN + math.hypot(STD * alpha, sigma) * z
    estimates = model(Solution(segments)).denoise
    end = last(ddim(estimates, COSINE, x, time_grid(100, segments)))
    assert torch.allclose(end.x, MEAN + STD * z, atol=1e-5)
    # An estimate leads to the end of its segment and to no place of the path before it.
    other = last(ddim(estimates, COSINE, x, time_grid(100, 2 * segments)))
    assert not torch.allclose(other.x, MEAN + STD * z, atol=1e-4)


def test_every_prediction_and_weight_measures_the_same_error():
    x, t, noise = batch()
    t = t.round()  # which the network is told exactly
    solution = Solution(2)
    d = model(solution)
    with torch.no_grad():
        solution.off += 0.1

    class AsStart(nn.Module):
        def forward(self, seen: Tensor, time: Tensor) -> Tensor:
            return d.denoise(seen, time.double())

    other = GaussianDiffusion(COSINE, (1,), AsStart(), "x_start")
    loss = ConsistencyLoss(teacher=TEACHER, weight=lambda log_snr: log_snr.exp())
    one, two = (loss.losses(v, x, t, noise) for v in (d, other))
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-12)
    plain = replace(loss, weight=None)
    v, start = (plain.losses(m, x, t, noise) for m in (d, other))
    torch.testing.assert_close(v * d.x_start_factor(t), start, rtol=1e-6, atol=1e-12)
    per_element = replace(plain, error=absolute_error).losses(d, x, t, noise)
    per_sample = replace(plain, error=lambda a, b: (a - b).abs().mean(1)).losses(d, x, t, noise)
    assert torch.equal(per_element, per_sample)
    torch.testing.assert_close(per_element**2, v, rtol=1e-6, atol=1e-12)


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
        ConsistencyLoss(teacher=TEACHER)(d, (batch()[0].float(),), stream(0, "x")).backward()
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[2], masks[3])
    assert not torch.equal(masks[0], masks[2])
    assert not masks[0].requires_grad


def test_all_estimates_see_the_same_conditions():
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return x

    d = GaussianDiffusion(COSINE, (1,), network, "v")
    loss = ConsistencyLoss(conditions=lambda batch, g: (batch[1] * 2,), teacher=d)
    loss(d, (batch()[0], torch.arange(40)), stream(0, "x"))
    assert len(seen) == 3
    assert all(torch.equal(v, 2 * torch.arange(40)) for v in seen)


def by_label(x: Tensor, t: Tensor, labels: Tensor, codes: Tensor | None = None) -> Tensor:
    return mean_of_data(x, t) + 0.3 * labels[:, None] + (0 if codes is None else codes)


def test_the_teacher_is_guided_where_it_is_said_and_kept_in_the_range():
    x, t, _ = batch()
    labels = torch.arange(40) % 3
    d = GaussianDiffusion(COSINE, (1,), by_label, "x_start", (-1.0, 1.2))
    loss = ConsistencyLoss(teacher=d, guidance_scale=2.5, guidance_interval=(0.5, 3.0))
    pushed = ClassifierFreeGuidance(d.denoise, labels, 2.5)
    wanted = within_interval(pushed, bound(d.denoise, labels), COSINE, 0.5, 3.0)
    found = loss.taught(x, t, (labels,))
    torch.testing.assert_close(found, clipped(wanted, -1.0, 1.2)(x, t), rtol=1e-6, atol=1e-7)
    assert bool((found == 1.2).any())
    assert not torch.allclose(found, replace(loss, guidance_scale=1.0).taught(x, t, (labels,)))
    none = replace(loss, guidance_interval=(1e8, 1e9)).taught(x, t, (labels,))
    assert torch.equal(none, replace(loss, guidance_scale=1.0).taught(x, t, (labels,)))
    everywhere = ConsistencyLoss(teacher=d, guidance_scale=2.5).taught(x, t, (labels, 0 * x))
    torch.testing.assert_close(everywhere, clipped(pushed, -1.0, 1.2)(x, t), rtol=1e-6, atol=1e-7)


def test_the_held_out_loss_never_changes_and_forgets_no_row():
    loss, d = ConsistencyLoss(teacher=TEACHER), model(Solution(2))
    x = torch.randn(2500, 1, generator=stream(0, "held out"), dtype=torch.float64) * STD + MEAN
    value = loss.held_out(d, as_rows((x,)))
    assert value == loss.held_out(d, as_rows((x,)))
    generator = stream(0, "validation")
    t = continuous_times(COSINE, 2500, generator)
    noise = torch.randn(2500, 1, generator=generator).double()
    assert value == pytest.approx(loss.losses(d, x, t, noise).mean().item(), rel=1e-6)


def test_continuous_times_have_one_in_each_of_n_equal_parts():
    t = continuous_times(COSINE, 500, stream(0, "t"))
    place = (t.sort().values - 1) / 99 * 500
    k = torch.arange(500, dtype=torch.float64)
    assert ((place >= k) & (place <= k + 1)).all()
    assert not torch.equal(t, t.sort().values)


def taught(**options: object) -> ConsistencyLoss:
    return ConsistencyLoss(teacher=TEACHER, **options)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: taught(segments=0), "segments must be at least 1, got 0"),
        (lambda: taught(hops=0), "hops must be at least 1, got 0"),
        (lambda: ConsistencyLoss(teacher=0.5), "teacher must be a GaussianDiffusion"),
        (
            lambda: taught(guidance_scale=-1.0),
            "guidance_scale must be a finite number >= 0, got -1",
        ),
        (lambda: taught(guidance_interval=(2.0, 1.0)), "must be LOW below HIGH, got 2 1"),
        (
            lambda: taught(guidance_scale=2.0)(model(Solution(2)), batch()[:1], stream(0, "x")),
            "labels to guide by must be a tensor",
        ),
        (lambda: ConsistencyLoss(), "teacher"),
        (lambda: taught()(nn.Linear(1, 1), batch()[:1], stream(0, "x")), "GaussianDiffusion"),
        (
            lambda: taught(segments=101)(model(Solution(1)), batch()[:1], stream(0, "x")),
            r"steps must lie in 1\.\.100, the model's timesteps, got 101",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make()


def test_it_is_found_by_name():
    from denoising_diffusion import tables

    made = tables.bound("objective", {"name": "consistency", "segments": 4})
    loss = made(partial(absolute_error), continuous_times, teacher=TEACHER)
    assert (loss.segments, replace(loss, hops=3).hops) == (4, 3)
    with pytest.raises(ValueError, match=r"consistency takes no gep; it takes .*segments"):
        tables.bound("objective", {"name": "consistency", "gep": 0.25})
