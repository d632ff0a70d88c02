import pytest
import torch

from denoising_diffusion import GaussianDiffusion, ddim, last, tables
from denoising_diffusion.rectified_flow import rectified_flow, velocity


def test_data_goes_straight_to_noise():
    schedule = rectified_flow(timesteps=8)
    t = torch.arange(9, dtype=torch.float64) / 8
    assert torch.equal(schedule.alpha, 1 - t)
    assert torch.equal(schedule.sigma, t)


def test_it_ends_in_noise_alone_and_noise_cannot_be_predicted_there(recwarn):
    schedule = rectified_flow()
    assert not recwarn
    for prediction in ("velocity", "v", "x_start", "edm"):
        GaussianDiffusion(schedule, (1,), lambda x, t: x, prediction)
    with pytest.raises(ValueError, match="not finite at t = 100, where alpha is 0"):
        GaussianDiffusion(schedule, (1,), lambda x, t: x, "noise")


def test_the_velocity_is_the_slope_of_the_line():
    model = GaussianDiffusion(rectified_flow(timesteps=10), (2,), lambda x, t: x, "velocity")
    x_start, noise = torch.randn(2, 5, 2, dtype=torch.float64)
    seen = []

    def loss(answer, target):
        seen.append(target)
        return (answer - target).square()

    model.p_losses(x_start, torch.tensor([1.0, 2.5, 5, 9, 10]), noise, loss=loss)
    torch.testing.assert_close(seen[0], noise - x_start, rtol=0, atol=1e-12)


def test_a_straight_line_takes_one_step():
    # Data at one point: every line leads there, and its slope is known.
    point = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    schedule = rectified_flow(timesteps=10)

    def network(x, t):
        return (x - point) / (t.double()[:, None] / 10)

    model = GaussianDiffusion(schedule, (2,), network, "velocity")
    x = torch.randn(4, 2, dtype=torch.float64)
    end = last(ddim(model.denoise, schedule, x, [10, 0])).x
    torch.testing.assert_close(end, point.expand(4, 2), rtol=0, atol=1e-7)


def test_both_are_found_by_name():
    assert tables.bound("schedule", {"kind": "rectified-flow", "timesteps": 5})().num_timesteps == 5
    alpha, sigma = torch.tensor([0.25]), torch.tensor([0.75])
    skip, out = tables.bound("prediction", "velocity")().coefficients(alpha, sigma)
    assert (skip.item(), out.item()) == (1.0, -0.75)
    assert velocity().coefficients(torch.tensor(1.0), torch.tensor(1.0))[0] == 0.5
