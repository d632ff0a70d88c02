"""Operators against dense matrices, and methods against exact posteriors."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

import denoising_diffusion as dd
from denoising_diffusion.samplers.base import Row
from denoising_diffusion.samplers.repaint import noised

F64 = torch.float64
SCHEDULE = dd.Schedule.from_betas(dd.cosine_beta_schedule(200))
METHODS = {"replacement": dd.replacement, "dps": dd.dps, "pigdm": dd.pigdm}


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def operators():
    known = torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(1)) < 0.4
    return {
        "mask": dd.Mask(known),
        "pool3": dd.average_pooling((3, 7, 5), 3),
        "pool1": dd.average_pooling((3, 7, 5), 1),
        "blur": dd.blur((3, 7, 5), 0.8),
        "grey": dd.grey_from_colour((3, 7, 5)),
        "matrix": dd.Separable(normal(5, 3), None, normal(2, 5)),
    }


@pytest.mark.parametrize("name", operators())
def test_an_operator_is_a_matrix_with_its_transpose_and_solver(name):
    a = operators()[name]
    one_hot = torch.eye(105, dtype=F64).view(-1, 3, 7, 5)
    columns = a.apply(one_hot)
    dense = columns.flatten(1).T
    observed, y = columns.shape[1:], normal(4, *columns.shape[1:])
    flat = y.flatten(1).T
    torch.testing.assert_close(a.adjoint(y).flatten(1).T, dense.T @ flat)
    ridges = torch.tensor([0.1, 1.0, 2.0, 30.0], dtype=F64)
    for i, ridge in enumerate(ridges):
        exact = torch.linalg.solve(
            dense @ dense.T + ridge * torch.eye(len(dense), dtype=F64), flat[:, i]
        )
        some = a.solve(y[i : i + 1], ridge.item())
        torch.testing.assert_close(some.flatten(), exact)
        together = a.solve(y, ridges.view(-1, *[1] * len(observed)))
        torch.testing.assert_close(together[i].flatten(), exact)
    seen = a.apply(normal(4, 3, 7, 5, seed=2))
    inverse = torch.linalg.pinv(dense, rtol=1e-5) @ seen.flatten(1).T
    torch.testing.assert_close(a.adjoint(a.solve(seen)).flatten(1).T, inverse, rtol=1e-6, atol=1e-8)
    assert a.apply(normal(2, 3, 7, 5).float()).dtype == torch.float32


@pytest.mark.parametrize(("size", "factor"), [((8, 8), 4), ((7, 5), 3), ((9, 4), 2), ((5, 5), 5)])
def test_pooling_is_the_mean_of_blocks_cut_by_the_border(size, factor):
    x = normal(2, 1, *size)
    pool = nn.AvgPool2d(factor, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(dd.average_pooling((1, *size), factor).apply(x), pool(x))


@pytest.mark.parametrize("std", [0.1, 0.5, 1.5, 4.0])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 9)])
def test_blur_is_that_of_scipy_at_mirrors_and_keeps_the_mean(size, std):
    x = normal(1, *size)
    blurred = dd.blur(size, std).apply(x)
    expected = gaussian_filter(x[0].numpy(), std, mode="reflect")
    np.testing.assert_allclose(blurred[0].numpy(), expected, atol=1e-12)
    torch.testing.assert_close(blurred.mean(), x.mean())


def test_grey_is_that_of_pillow():
    levels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    x = torch.from_numpy(levels).permute(2, 0, 1)[None].double()
    grey = dd.grey_from_colour((3, 6, 5)).apply(x)[0, 0].numpy()
    assert np.abs(grey - np.asarray(Image.fromarray(levels).convert("L"))).max() < 0.51


def gaussian(mean, cov):
    """E[x_0 | x_t] of Gaussian data."""

    def denoise(x, t):
        alpha, sigma = (v[0].item() for v in SCHEDULE.at(t, like=x))
        eye = torch.eye(len(cov), dtype=F64)
        gain = alpha * cov @ torch.linalg.inv(alpha**2 * cov + sigma**2 * eye)
        return mean + (x - alpha * mean) @ gain.T

    return denoise


def posterior(mean, cov, a, y, noise):
    gain = cov @ a.T @ torch.linalg.inv(a @ cov @ a.T + noise**2 * torch.eye(len(a), dtype=F64))
    return mean + gain @ (y - a @ mean), cov - gain @ a @ cov


MEAN = torch.tensor([0.3, -0.2, 0.1], dtype=F64)
ISOTROPIC = 0.25 * torch.eye(3, dtype=F64)
ANISOTROPIC = torch.tensor([[0.25, 0.1, 0.05], [0.1, 0.5, 0.0], [0.05, 0.0, 0.05]], dtype=F64)
MATRIX = torch.tensor([[1.0, 0.5, 0.0]], dtype=F64)
Y = torch.tensor([0.9], dtype=F64)


def errors(method, sampler, cov, noise, num_steps):
    """Of mean and covariance at the end, exactly, against those of q(x_t | y).

    All is affine: row 0 has no noise, and each further row a unit of one random number alone.
    """
    snr = torch.linspace(-6, 6, num_steps + 1, dtype=F64)
    times = SCHEDULE.time(snr).tolist()
    mean, spread = posterior(MEAN, cov, MATRIX, Y, noise)
    (alpha, sigma), (alpha_s, sigma_s) = SCHEDULE(times[0]), SCHEDULE(times[-1])
    eye = torch.eye(3, dtype=F64)
    x = (alpha * mean).repeat(4 + 3 * num_steps, 1)
    x[1:4] += torch.linalg.cholesky(alpha**2 * spread + sigma**2 * eye).T
    rows = iter(range(4, len(x), 3))

    def one_hot(x):
        noise, row = torch.zeros_like(x), next(rows)
        noise[row : row + 3] = eye
        return noise

    guided = METHODS[method](
        gaussian(MEAN, cov), SCHEDULE, Y[None], dd.Separable(MATRIX), noise=noise
    )
    end = dd.last(sampler(guided, SCHEDULE, x, times, randn_like=one_hot)).x
    response = end[1:] - end[0]
    found, exact = response.T @ response, alpha_s**2 * spread + sigma_s**2 * eye
    return (end[0] - alpha_s * mean).norm().item(), ((found - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(("sampler", "bound"), [(dd.ddim, 0.016), (dd.ddpm, 0.031)])
def test_pigdm_is_exact_on_isotropic_gaussians_and_its_samples_with_order_1(sampler, bound, noise):
    found = [errors("pigdm", sampler, ISOTROPIC, noise, n) for n in (100, 200)]
    assert max(mean for mean, _ in found) < 1e-12
    assert found[1][1] < bound
    assert 0.9 < math.log2(found[0][1] / found[1][1]) < 1.1


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_guided_estimate_is_the_mean_given_both_observations(noise):
    x, t = normal(5, 3), torch.tensor([150.0] * 5)
    alpha, sigma = (v.item() for v in SCHEDULE(150.0))
    both = torch.cat([alpha * torch.eye(3, dtype=F64), MATRIX])
    added = torch.diag(torch.tensor([sigma**2] * 3 + [noise**2], dtype=F64))
    gain = ISOTROPIC @ both.T @ torch.linalg.inv(both @ ISOTROPIC @ both.T + added)
    exact = MEAN + (torch.cat([x, Y.expand(5, 1)], 1) - MEAN @ both.T) @ gain.T
    denoise = gaussian(MEAN, ISOTROPIC)
    guided = dd.pigdm(denoise, SCHEDULE, Y[None], dd.Separable(MATRIX), noise=noise)
    torch.testing.assert_close(guided(x, t), exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "mean", "covariance"), [("pigdm", 0.054, 0.038), ("replacement", 0.16, 0.11)]
)
def test_the_bias_on_anisotropic_gaussians_is_the_stated_one(method, mean, covariance):
    found = errors(method, dd.ddim, ANISOTROPIC, 0.0, 200)
    assert found == (pytest.approx(mean, rel=0.05), pytest.approx(covariance, rel=0.05))
    exact = errors("replacement", dd.ddim, ISOTROPIC, 0.0, 200)
    assert exact[0] < 1e-12
    assert exact[1] < 0.016


WEIGHTS = torch.tensor([0.3, 0.7], dtype=F64)
CENTRES = torch.tensor([[-0.6, -1.0], [0.6, 1.0]], dtype=F64)
STD, SEEN = 0.4, 0.1


def two_modes(x, t):
    alpha, sigma = SCHEDULE.at(t, like=x)
    variance = alpha**2 * STD**2 + sigma**2
    away = x[:, None] - alpha[..., None] * CENTRES
    share = (WEIGHTS.log() - away.square().sum(-1) / (2 * variance)).softmax(1)[..., None]
    return (share * (CENTRES + (alpha * STD**2 / variance)[..., None] * away)).sum(1)


def share_of_the_upper_mode(method, sampler, **options):
    known, y = torch.tensor([True, False]), torch.tensor([[SEEN]], dtype=F64)
    generator = torch.Generator().manual_seed(0)
    denoise = two_modes
    if method in METHODS:
        denoise = METHODS[method](denoise, SCHEDULE, y, dd.Mask(known))
    else:
        y = torch.tensor([SEEN, 0.0], dtype=F64)
        sampler = partial(dd.repaint, observation=y, known=known, **options)

    def randn_like(x):
        return torch.randn(x.shape, dtype=F64, generator=generator)

    start = randn_like(torch.empty(2000, 2))
    end = dd.last(sampler(denoise, SCHEDULE, start, range(200, -1, -1), randn_like=randn_like))
    assert method in ("dps", "pigdm") or torch.allclose(
        end.x[:, 0], torch.tensor(SEEN, dtype=F64), atol=1e-12
    )
    return (end.x[:, 1] > 0).double().mean().item()


@pytest.mark.parametrize(
    ("method", "sampler", "stated"),
    [
        ("replacement", dd.ddpm, 0.71),
        ("replacement", dd.ddim, 0.69),
        ("dps", dd.ddpm, 0.76),
        ("dps", dd.ddim, 0.69),
        ("pigdm", dd.ddpm, 0.76),
        ("pigdm", dd.ddim, 0.70),
        ("repaint", None, 0.78),
        ("repaint-1", None, 0.73),
    ],
)
def test_the_bias_on_two_modes_is_the_stated_one(method, sampler, stated):
    grid = torch.linspace(-4, 4, 4001, dtype=F64)
    points = torch.stack([torch.full_like(grid, SEEN), grid], 1)
    log = -(points[:, None] - CENTRES).square().sum(-1) / (2 * STD**2)
    density = (log + WEIGHTS.log()).logsumexp(1).softmax(0)
    exact = density[grid > 0].sum().item()
    assert exact == pytest.approx(0.827, abs=0.001)
    options = {"jump": 8, "repeats": 1 if method == "repaint-1" else 10}
    found = share_of_the_upper_mode(method, sampler, **options)
    assert found == pytest.approx(stated, abs=0.025)
    assert found < exact


@pytest.mark.parametrize("t", [1, 2, 60, 199])
def test_dps_with_ddpm_is_the_algorithm_of_the_paper(t):
    x, noise, y = normal(6, 3), normal(6, 3, seed=1), normal(6, 2, seed=2)
    a = dd.Separable(normal(2, 3, seed=3))
    weight = normal(3, 3, seed=4)

    def denoise(x, t):
        return torch.tanh(x @ weight)

    guided = dd.dps(denoise, SCHEDULE, y, a, scale=3.0)
    (step,) = dd.ddpm(guided, SCHEDULE, x, [t, t - 1], randn_like=lambda _: noise)
    (plain,) = dd.ddpm(denoise, SCHEDULE, x, [t, t - 1], randn_like=lambda _: noise)
    leaf = x.clone().requires_grad_()
    missed = (y - a.apply(denoise(leaf, None))).square().sum(1)
    (slope,) = torch.autograd.grad(missed.sum(), leaf)
    zeta = 3.0 * math.sqrt(2) / 200 / 2  # their zeta', over the norm of what is missed
    expected = plain.x - zeta / missed.detach().sqrt()[:, None] * slope
    torch.testing.assert_close(step.x, expected, rtol=1e-9, atol=1e-12)


def test_methods_guide_without_leaving_a_graph_and_one_by_one():
    x, t, y = normal(4, 3), torch.full((4,), 90.0), normal(4, 1)
    for method in METHODS.values():
        operator = dd.Separable(MATRIX)
        guided = method(gaussian(MEAN, ANISOTROPIC), SCHEDULE, y, operator, noise=0.1)
        with torch.no_grad():
            whole = guided(x, t)
            assert not whole.requires_grad
            alone = method(gaussian(MEAN, ANISOTROPIC), SCHEDULE, y[2:3], operator, noise=0.1)
            torch.testing.assert_close(alone(x[2:3], t[:1]), whole[2:3])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 200), (30, 31), (10.5, 120.25)])
def test_the_way_back_carries_the_law_of_one_time_to_that_of_another(low, high):
    rows = [Row(t, *(v.item() for v in SCHEDULE(float(t)))) for t in (low, high)]
    now, then = rows
    mean, variance = 0.4, 0.3
    state = torch.tensor([now.alpha * mean, 1.0, 0.0], dtype=F64)
    moved = noised(state, now, then, lambda _: torch.tensor([0.0, 0.0, 1.0], dtype=F64))
    response = moved[1].item(), moved[2].item()
    assert moved[0].item() == pytest.approx(then.alpha * mean, abs=1e-12)
    carried = response[0] ** 2 * (now.alpha**2 * variance + now.sigma**2) + response[1] ** 2
    assert carried == pytest.approx(then.alpha**2 * variance + then.sigma**2, rel=1e-12)


@pytest.mark.parametrize(("jump", "repeats"), [(1, 3), (4, 2), (7, 3), (100, 2), (3, 1)])
def test_known_values_follow_the_forward_process_and_end_in_the_observation(jump, repeats):
    times = [200, 160, 120.5, 90, 60, 30, 10, 0]
    x, draws = torch.zeros(200, 2, dtype=F64), []

    def one_hot(x):
        noise = torch.zeros_like(x)
        noise[len(draws)] = 1
        draws.append(1)
        return noise

    counted = dd.counted(gaussian(MEAN[:2], ANISOTROPIC[:2, :2]))
    known = torch.tensor([True, False])
    y = torch.tensor([0.7, math.nan], dtype=F64)
    steps = list(
        dd.repaint(
            counted, SCHEDULE, x, times, observation=y, known=known, jump=jump, repeats=repeats,
            randn_like=one_hot,
        )
    )  # fmt: skip
    assert [s.t for s in steps] == times[1:]
    assert counted.evaluations == repeats * 7
    for step in steps:
        alpha, sigma = (v.item() for v in SCHEDULE(float(step.t)))
        values = step.x[:, 0]
        assert values[-1].item() == pytest.approx(alpha * 0.7, abs=1e-12)
        assert (values - values[-1]).norm().item() == pytest.approx(sigma, abs=1e-12)
    assert (steps[-1].x[:, 0] == 0.7).all()
    assert torch.equal(steps[-1].x, steps[-1].x_start)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: dd.Mask(torch.ones(3)), "known must hold bool, got torch.float32"),
        (lambda: dd.Mask(torch.ones(3) > 0).apply(torch.ones(2, 4)), r"x must have shape \(b, 3\)"),
        (lambda: dd.average_pooling((1, 8, 6), 7), "factor must be at most 6, got 7"),
        (lambda: dd.average_pooling((8,), 2), "shape must end in a height and a width"),
        (lambda: dd.blur((8, 8), 0.0), "std must be a finite number above 0, got 0"),
        (lambda: dd.grey_from_colour((1, 8, 8)), "grey is seen of three channels"),
        (lambda: dd.Separable(torch.ones(3)), r"matrices\[0\] must have shape \(m, n\)"),
        (lambda: guided(noise=-1.0)(X, T), "noise must be a finite number >= 0, got -1"),
        (lambda: guided(data_std=0.0)(X, T), "data_std must be a finite number above 0"),
        (lambda: guided(y=torch.ones(2, 1))(X, T), "got 2 observations of 4 samples"),
        (lambda: guided(y=torch.ones(1, 3))(X, T), r"observation must have shape \(b, 1\)"),
        (lambda: painted(known=torch.ones(2) > 0), r"known must have shape \(3,\)"),
        (lambda: painted(known=torch.ones(3)), "known must hold bool"),
        (lambda: painted(jump=0), "jump must be at least 1, got 0"),
        (lambda: painted(repeats=0), "repeats must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused(call, reason):
    with pytest.raises((ValueError, TypeError), match=reason):
        call()


X, T = torch.zeros(4, 3), torch.full((4,), 5.0)


def guided(y=None, **options):
    y = Y[None].float() if y is None else y
    return dd.pigdm(lambda x, t: x, SCHEDULE, y, dd.Separable(MATRIX), **options)


ALL = torch.ones(3) > 0


def painted(known=ALL, **options):
    return dd.repaint(lambda x, t: x, SCHEDULE, X, [5, 0], observation=X[0], known=known, **options)
