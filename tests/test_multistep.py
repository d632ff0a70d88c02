import math

import pytest
import torch

from denoising_diffusion import Schedule, counted, ddim, ddpm, last
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.samplers.base import Row, walk
from denoising_diffusion.samplers.dpm_solver import dpmpp_2m, dpmpp_3m, dpmpp_sde_2m, multistep
from denoising_diffusion.samplers.exponential import extrapolated, moments
from denoising_diffusion.samplers.unipc import corrected, unipc
from denoising_diffusion.schedule import cosine
from test_samplers import (
    GAUSSIAN,
    MIXTURE,
    SCHEDULE,
    carried,
    even_in_log_snr,
    exact_denoiser,
    terminal_law,
)

DETERMINISTIC = {"2m": dpmpp_2m, "3m": dpmpp_3m, "unipc": unipc}
ALL = {**DETERMINISTIC, "sde": dpmpp_sde_2m}
LAWS = pytest.mark.parametrize("law", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])


def row(t: float) -> Row:
    return Row(t, *(v.item() for v in SCHEDULE(t)))


@pytest.mark.parametrize("length", [-3.0, -0.3, 1e-9, 0.2, 0.99, 1.01, 5.0, 40.0])
def test_moments_are_the_integrals(length):
    def integral(k: int) -> float:
        tau = torch.linspace(0, 1, 20_001, dtype=torch.float64)
        values = length * torch.exp(-(1 - tau) * length) * tau**k
        weights = torch.full_like(tau, 2 / 3)  # Simpson's rule
        weights[1::2] = 4 / 3
        weights[[0, -1]] = 1 / 3
        return (weights * values).sum().item() / 20_000

    expected = [integral(k) for k in range(4)]
    assert moments(length, 4) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("rate", [1.0, 2.0])
@pytest.mark.parametrize("count", [2, 3])
def test_a_polynomial_in_lambda_is_followed_exactly(count, rate):
    times = even_in_log_snr(5)
    rows = [row(t) for t in times]
    nodes = [math.log(r.alpha / r.sigma) for r in rows]
    coefficients = [0.7, -0.4, 0.3][:count]

    def value(at: float) -> torch.Tensor:
        line = sum(c * at**k for k, c in enumerate(coefficients))
        return torch.tensor([line], dtype=torch.float64)

    past = [(r, value(at)) for r, at in zip(rows, nodes, strict=True)][3 - count : 3]
    mean = extrapolated(past, rows[2], rows[3], rate).item()
    at = torch.linspace(nodes[2], nodes[3], 20_001, dtype=torch.float64)
    weight = torch.exp(rate * (at - nodes[3]))
    line = sum(c * at**k for k, c in enumerate(coefficients))
    expected = torch.trapezoid(weight * line, at) / torch.trapezoid(weight, at)
    assert mean == pytest.approx(expected.item(), rel=1e-8)


def order_with_exact_past(make, law, start, reach):
    """The slope between 160 and 320 steps, the estimates before the walk being exact."""
    errors = []
    for steps in (160, 320):
        times = even_in_log_snr(steps + reach, -6.0 - 10.0 / steps * reach)
        denoise, past = exact_denoiser(law), []
        first = times[reach]
        for t in times[:reach]:
            x = torch.tensor([[carried(law, start, first, t)]], dtype=torch.float64)
            past.append((row(t), denoise(x, torch.tensor([t], dtype=torch.float64))))
        x = torch.tensor([[start]], dtype=torch.float64)
        end = last(walk(denoise, SCHEDULE, x, times[reach:], make(past))).x.item()
        errors.append(abs(end - carried(law, start, first, times[-1])))
    return math.log2(errors[0] / errors[1]), errors[-1]


@LAWS
@pytest.mark.parametrize("start", [-1.7, 0.4, 1.3])
@pytest.mark.parametrize(
    ("make", "reach", "order"),
    [
        (lambda past: multistep(2, past), 1, 2),
        (lambda past: multistep(3, past), 2, 3),
        (lambda past: corrected(1, past), 0, 2),
        (lambda past: corrected(2, past), 1, 3),
        (lambda past: corrected(3, past), 2, 4),
    ],
    ids=["2m", "3m", "unipc-1", "unipc-2", "unipc-3"],
)
def test_orders_with_an_exact_past(law, start, make, reach, order):
    slope, error = order_with_exact_past(make, law, start, reach)
    assert error < 1e-4
    assert slope >= order - 0.15


@LAWS
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_without_a_past_they_have_order_2_and_beat_ddim(law, name):
    def error(sampler, steps):
        times = even_in_log_snr(steps)
        x = torch.tensor([[0.4]], dtype=torch.float64)
        end = last(sampler(exact_denoiser(law), SCHEDULE, x, times)).x.item()
        return abs(end - carried(law, 0.4, times[0], times[-1]))

    sampler = DETERMINISTIC[name]
    assert error(sampler, 40) < error(ddim, 40) / 4
    assert math.log2(error(sampler, 160) / error(sampler, 320)) >= 1.85


@LAWS
def test_encoding_and_drawing_come_back(law):
    times = even_in_log_snr(160, -4.0, 3.0)
    x = torch.tensor([[0.4]], dtype=torch.float64)
    for sampler in DETERMINISTIC.values():
        up = last(sampler(exact_denoiser(law), SCHEDULE, x, times[::-1])).x
        assert up.item() == pytest.approx(carried(law, 0.4, times[-1], times[0]), abs=1e-3)
        assert last(sampler(exact_denoiser(law), SCHEDULE, up, times)).x.item() == pytest.approx(
            0.4, abs=1e-3
        )


def test_terminal_law_of_the_stochastic_one():
    errors, of_ddpm = [], []
    for steps in (160, 320):
        mean, variance, exact_mean, exact_variance = terminal_law(dpmpp_sde_2m, steps)
        assert mean == pytest.approx(exact_mean, abs=1e-12)
        errors.append(abs(variance / exact_variance - 1))
        of_ddpm.append(abs(terminal_law(ddpm, steps)[1] / exact_variance - 1))
    assert math.log2(errors[0] / errors[1]) >= 1.85
    assert errors[-1] < of_ddpm[-1] / 50


SCHEDULES = {
    "cosine": cosine(),
    "rectified flow": rectified_flow(),
    "no signal at T": Schedule(
        torch.tensor([1, 0.8, 0.6, 0.0], dtype=torch.float64),
        torch.tensor([0, 0.6, 0.8, 1.0], dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_to_clean_data(schedule, name, steps):
    t_max = schedule.num_timesteps
    times = [t_max * i / steps for i in range(steps, -1, -1)]
    denoise = counted(lambda x, t: torch.tanh(x))
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    walked = list(ALL[name](denoise, schedule, x, times, randn_like=torch.zeros_like))
    assert denoise.evaluations == steps
    assert all(s.x.isfinite().all() for s in walked)
    assert torch.equal(walked[-1].x, walked[-1].x_start)
    plain = ddpm if name == "sde" else ddim
    first = next(plain(denoise, schedule, x, times, randn_like=torch.zeros_like))
    torch.testing.assert_close(walked[0].x, first.x, rtol=1e-12, atol=1e-12)


def test_an_estimate_that_never_changes_is_that_of_ddim():
    times = even_in_log_snr(7)

    def constant(x, t):
        return torch.full_like(x, 0.25)

    x = torch.tensor([[2.0]], dtype=torch.float64)
    expected = last(ddim(constant, SCHEDULE, x, times)).x.item()
    for sampler in DETERMINISTIC.values():
        end = last(sampler(constant, SCHEDULE, x, times)).x.item()
        assert end == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [0, 4])
def test_other_orders_are_refused(order):
    with pytest.raises(ValueError, match="order"):
        unipc(lambda x, t: x, SCHEDULE, torch.ones(1, 1), [2, 1], order=order)
