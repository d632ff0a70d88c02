"""The sigmoid schedule, shifts of log-SNR and zero terminal signal, against their closed forms."""

import json
import math
import warnings

import pytest
import torch
from torch import Tensor

from denoising_diffusion import (
    GaussianDiffusion,
    Schedule,
    cosine_beta_schedule,
    last,
    linear_beta_schedule,
    shifted,
    tables,
    zero_terminal,
)
from denoising_diffusion.cli import main
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.sigmoid_schedule import sigmoid_schedule
from mixtures import Mixture

LINEAR = Schedule.from_betas(linear_beta_schedule(1000))
COSINE = Schedule.from_betas(cosine_beta_schedule(100))
EDM = edm_schedule(timesteps=40)


def close(a: Tensor, b: Tensor, rtol: float = 1e-12):
    torch.testing.assert_close(a, b, rtol=rtol, atol=0)


@pytest.mark.parametrize(("start", "end", "tau"), [(-3, 3, 1), (0, 3, 0.3), (-3, 3, 1.1)])
def test_the_sigmoid_schedule_is_that_of_the_papers(start, end, tau):
    schedule = sigmoid_schedule(timesteps=50, start=start, end=end, tau=tau)
    u = torch.arange(51, dtype=torch.float64) / 50
    low, high = (torch.tensor(v / tau, dtype=torch.float64).sigmoid() for v in (start, end))
    gamma = (high - ((u * (end - start) + start) / tau).sigmoid()) / (high - low)
    close(schedule.alpha_cumprod[:-1], gamma[:-1], 1e-10)
    close(schedule.sigma[1:] ** 2, (1 - gamma)[1:], 1e-8)
    assert schedule.alpha_cumprod[-1].item() == pytest.approx(1e-9)
    assert (schedule.alpha[0].item(), schedule.sigma[0].item()) == (1, 0)
    assert (schedule.log_snr.diff() < 0).all()


def test_its_log_snr_in_closed_form_keeps_its_digits_at_both_ends():
    # S(b) - S(a) = exp(-a) (1 - exp(a - b)) / ((1 + exp(-a)) (1 + exp(-b))), without cancelling.
    schedule, t = sigmoid_schedule(timesteps=1000, tau=0.5), torch.arange(1, 1000).double() / 1000
    start, end = -6.0, 6.0
    u = start + t * (end - start)
    expected = start - u + torch.log(-torch.expm1(u - end)) - torch.log(-torch.expm1(start - u))
    expected += math.log1p(math.exp(-start)) - math.log1p(math.exp(-end))
    torch.testing.assert_close(schedule.log_snr[1:-1], expected, rtol=1e-12, atol=1e-12)


def test_the_sigmoid_is_symmetric_about_its_middle():
    # With end = -start, signal and noise change places when time is turned round.
    schedule = sigmoid_schedule(timesteps=64, clip_min=0)
    close(schedule.alpha, schedule.sigma.flip(0), 1e-14)
    assert schedule.log_snr[32].item() == pytest.approx(0, abs=1e-14)
    assert schedule.alpha[-1] == 0


@pytest.mark.parametrize("base", [LINEAR, COSINE, EDM, rectified_flow(timesteps=30)], ids=repr)
@pytest.mark.parametrize("shift", [0.25, 0.5, 1.0, 2.0])
def test_a_shift_adds_its_logarithm_to_every_row(base, shift):
    found = shifted(base, shift)
    finite = base.log_snr.isfinite()
    torch.testing.assert_close(
        found.log_snr[finite], base.log_snr[finite] + 2 * math.log(shift), rtol=1e-12, atol=1e-12
    )
    close(torch.hypot(found.alpha, found.sigma), torch.hypot(base.alpha, base.sigma), 1e-14)
    assert found.alpha[-1].item() == 0 or base.alpha[-1] > 0


def test_a_shifted_cosine_is_that_of_simple_diffusion():
    base = {"kind": "cosine", "s": 0.0}
    found = tables.bound("schedule", {"kind": "shifted", "of": base, "shift": 0.5})()
    t = torch.arange(1, 100, dtype=torch.float64) / 100
    expected = -2 * torch.log(torch.tan(math.pi * t / 2)) + 2 * math.log(0.5)
    close(found.log_snr[1:-1], expected, 1e-9)


@pytest.mark.parametrize("base", [LINEAR, COSINE, EDM, shifted(COSINE, 2.0)], ids=repr)
def test_zero_terminal_keeps_the_first_row_and_leaves_no_signal(base):
    found = zero_terminal(base)
    assert found.alpha[-1].item() == 0
    for table, old in ((found.alpha, base.alpha), (found.sigma, base.sigma)):
        assert table[0] == old[0]
        close(table[1], old[1], 1e-14)
    close(torch.hypot(found.alpha, found.sigma), torch.hypot(base.alpha, base.sigma), 1e-14)
    assert (found.log_snr.diff() < 0).all()


def test_zero_terminal_is_algorithm_1_of_lin():
    # The algorithm as printed, on betas.
    alphas = (1 - linear_beta_schedule(1000)).cumprod(0).sqrt()
    first, end = alphas[0].clone(), alphas[-1].clone()
    alphas = (alphas - end) * first / (first - end)
    found = zero_terminal(LINEAR)
    torch.testing.assert_close(found.alpha[1:], alphas, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(found.sigma[1:], (1 - alphas**2).sqrt(), rtol=1e-9, atol=0)


def test_changes_go_together_by_name():
    of = {"kind": "shifted", "of": "linear", "shift": 0.7}
    found = tables.bound("schedule", {"kind": "zero-terminal", "timesteps": 1000, "of": of})()
    assert torch.equal(found.alpha, zero_terminal(shifted(LINEAR, 0.7)).alpha)


def test_what_ends_without_signal_already_stays():
    flow = rectified_flow(timesteps=9)
    found = zero_terminal(flow)
    torch.testing.assert_close(found.alpha, flow.alpha, rtol=1e-14, atol=1e-16)
    torch.testing.assert_close(found.sigma, flow.sigma, rtol=1e-14, atol=1e-16)


class Wanted:
    """A network that answers what it was last asked for."""

    target = torch.zeros(())

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return self.target + torch.zeros_like(x)

    def keep(self, answer: Tensor, target: Tensor) -> Tensor:
        self.target = target
        return (answer - target) ** 2


def test_from_no_signal_all_but_noise_can_be_predicted():
    schedule = tables.bound("schedule", {"kind": "zero-terminal", "timesteps": 50})()
    x_start, noise = torch.randn(2, 3, 2, dtype=torch.float64)
    t = torch.tensor([1.0, 20.0, 50.0])
    for prediction in ("v", "x_start", "velocity", "edm"):
        wanted = Wanted()
        model = GaussianDiffusion(schedule, (2,), wanted, prediction)
        assert model.p_losses(x_start, t, noise, loss=wanted.keep).isfinite().all()
        found = model.denoise(model.q_sample(x_start, t, noise), t)
        torch.testing.assert_close(found, x_start, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="not finite at t = 50, where alpha is 0"):
        GaussianDiffusion(schedule, (2,), lambda x, t: x, "noise")


def moments(sampler, schedule, mean: float, std: float, steps: int):
    """Mean and variance of what a sampler draws of a Gaussian, by its response to each noise."""
    one = torch.ones(1, dtype=torch.float64)
    denoise = Mixture(one, mean * one[None], (std**2 * one)[None, None]).denoiser(schedule)
    rows = 2 + 4 * steps
    x, drawn = torch.zeros(rows, 1, dtype=torch.float64), iter(range(2, rows))
    x[1] = schedule.sigma[-1]

    def one_hot(like: Tensor) -> Tensor:
        noise = torch.zeros_like(like)
        noise[next(drawn)] = 1
        return noise

    grid = torch.linspace(schedule.num_timesteps, 0, steps + 1).tolist()
    end = last(sampler(denoise, schedule, x, grid, randn_like=one_hot)).x[:, 0]
    return end[0].item(), (end[1:] - end[0]).square().sum().item()


@pytest.mark.parametrize("name", list(tables.TABLES["sampler"]))
def test_every_sampler_walks_from_no_signal_to_the_data(name):
    schedule = zero_terminal(Schedule.from_betas(linear_beta_schedule(400)))
    errors = []
    for steps in (1, 2, 100, 400):
        mean, variance = moments(tables.resolve("sampler", name), schedule, 0.7, 0.5, steps)
        assert math.isfinite(mean) and math.isfinite(variance)
        errors.append(abs(mean - 0.7) + abs(variance - 0.25))
    assert errors[-1] < 0.01
    # below 1e-3 the first step and the last, of order 1, decide, and their errors change sign
    assert errors[-1] < max(errors[-2], 1e-3) and errors[-2] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zero-terminal", "sigmoid", "shifted"])
def test_a_run_takes_them_by_name(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    small = {
        "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
        "training": {"precision": "float32", "epochs": 1},
        "sampling": {"steps": 2, "num": 40},
    }
    (tmp_path / "small.json").write_text(json.dumps(small))
    options = ["--config", "small.json", "--schedule.kind", kind, "--no-evaluate", "--out", "run"]
    for code, more in ((2, ["--training.prediction", "noise"]), (0, [])):
        if code == 2 and kind != "zero-terminal":
            continue
        with pytest.raises(SystemExit) as end:
            main(["train", "digits", *options, *more])
        assert end.value.code == code


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"kind": "sigmoid", "tau": 0.0}, "tau must be a finite number above 0, got 0"),
        ({"kind": "sigmoid", "start": 3.0}, "start must be below end, got 3 and 3"),
        ({"kind": "sigmoid", "clip_min": 0.5}, r"clip_min must lie in \[0, 1e-3\], got 0.5"),
        ({"kind": "sigmoid", "tau": 0.01}, "must fall at every one of 100 timesteps"),
        ({"kind": "sigmoid", "tau": 1e-5}, "must fall at every one of 100 timesteps"),
        ({"kind": "shifted", "shift": 0.0}, "shift must be a finite number above 0, got 0"),
        ({"kind": "shifted", "of": "cosin"}, "did you mean cosine"),
        (
            {"kind": "shifted", "of": {"kind": "cosine", "timesteps": 5}},
            "schedule.of takes no timesteps",
        ),
        ({"kind": "zero-terminal", "timesteps": 1}, "timesteps must lie in 2..1000000, got 1"),
        ({"kind": "zero-terminal", "of": {"kind": "linear", "x": 1}}, "linear takes no x"),
    ],
)
def test_errors(choice, text):
    with pytest.raises(ValueError, match=text):
        tables.bound("schedule", choice)()


def test_a_base_that_leaves_signal_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of = {"kind": "linear", "beta_end": 0.001}
        tables.bound("schedule", {"kind": "zero-terminal", "of": of})()
