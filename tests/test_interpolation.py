"""Spherical mixes, and the ODE up and down again."""

import math

import pytest
import torch

import denoising_diffusion as dd
from test_likelihood import COSINE, PLANE

SHARES = torch.tensor([0.0, 0.25, 0.5, 1.0])


def noises(count, *shape):
    generator = dd.stream(0, "interpolation")
    return (torch.randn(count, *shape, generator=generator, dtype=torch.float64) for _ in "ab")


def test_the_ends_are_the_ends_and_the_way_is_an_even_turn_of_one_length():
    a, b = (v / v.flatten(1).norm(dim=1)[:, None, None] for v in noises(5, 3, 4))
    found = dd.slerp(a, b, SHARES)
    torch.testing.assert_close(found[0], a)
    torch.testing.assert_close(found[-1], b)
    torch.testing.assert_close(found.flatten(2).norm(dim=2), torch.ones(4, 5).double())
    whole = torch.acos((a * b).sum((1, 2)))
    for share, mix in zip(SHARES, found, strict=True):
        turned = torch.acos((a * mix).sum((1, 2)).clamp(max=1))
        torch.testing.assert_close(turned, share * whole, rtol=0, atol=1e-7)


def test_mixes_of_independent_noise_have_the_variance_of_noise():
    a, b = noises(400, 784)
    for mix in dd.slerp(a, b, SHARES):
        assert mix.var().item() == pytest.approx(1, abs=0.01)
    assert ((a + b) / 2).var().item() == pytest.approx(0.5, abs=0.01)  # what peers draw


def test_ends_that_are_nearly_or_wholly_the_same_are_mixed_without_a_jump():
    a, _ = noises(2, 6)
    torch.testing.assert_close(dd.slerp(a, a, SHARES), a.expand(4, 2, 6))
    for near in (1e-3, 1e-5, 1e-7, 1e-9):
        b = a + near
        found = dd.slerp(a, b, torch.tensor([0.5]))[0]
        torch.testing.assert_close(found, (a + b) / 2, rtol=0, atol=near**2 + 1e-12)


def test_ends_without_a_way_between_them_are_refused():
    a, b = noises(2, 6)
    with pytest.raises(ValueError, match="opposite directions"):
        dd.slerp(a, -2 * a, SHARES)
    with pytest.raises(ValueError, match="a sample that is 0"):
        dd.slerp(a, torch.zeros_like(a), SHARES)
    with pytest.raises(ValueError, match=r"b must have shape \(2, 6\), got \(2, 5\)"):
        dd.slerp(a, b[:, :5], SHARES)
    with pytest.raises(ValueError, match="shares holds values that are not finite"):
        dd.slerp(a, b, torch.tensor([math.nan]))


@pytest.mark.parametrize(("sampler", "order"), [(dd.ddim, 1), (dd.heun, 3)], ids=["ddim", "heun"])
def test_encoding_and_decoding_come_back_at_the_order_of_the_solver(sampler, order):
    # A step of even order and the same step back undo each other's leading error: 3, not 2.
    denoise, x = PLANE.denoiser(COSINE), PLANE.sample(200, dd.stream(0, "round trip"))
    errors = []
    for steps in (80, 160, 320):
        up = COSINE.time(torch.linspace(4, -6, steps + 1, dtype=torch.float64)).tolist()
        noise = dd.last(sampler(denoise, COSINE, COSINE(up[0])[0] * x, up)).x
        back = dd.last(sampler(denoise, COSINE, noise, up[::-1])).x / COSINE(up[0])[0]
        errors.append((back - x).square().mean().sqrt().item())
    assert errors[-1] < (0.02 if order == 1 else 1e-4)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.25)


def test_what_is_encoded_is_noise():
    denoise, x = PLANE.denoiser(COSINE), PLANE.sample(4000, dd.stream(0, "encoded"))
    start = COSINE.time(9.0).item()
    x = x * COSINE(start)[0] + COSINE(start)[1] * next(noises(4000, 2))
    up = COSINE.time(torch.linspace(9, -12, 60, dtype=torch.float64)).tolist()
    noise = dd.last(dd.heun(denoise, COSINE, x, [*up, 50.0])).x
    torch.testing.assert_close(noise.mean(0), torch.zeros(2).double(), rtol=0, atol=0.06)
    torch.testing.assert_close(noise.T.cov(), torch.eye(2).double(), rtol=0, atol=0.09)
