import math

import pytest
import torch

from denoising_diffusion import Schedule, counted, ddim, heun, last
from test_samplers import GAUSSIAN, MIXTURE, SCHEDULE, carried, even_in_log_snr, exact_denoiser


def ends(law, sampler, start, counts):
    errors = []
    for n in counts:
        times = even_in_log_snr(n)
        x = torch.tensor([[start]], dtype=torch.float64)
        end = last(sampler(exact_denoiser(law), SCHEDULE, x, times)).x.item()
        errors.append(abs(end - carried(law, start, times[0], times[-1])))
    return errors


@pytest.mark.parametrize("law", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("start", [-1.7, 0.4, 1.3])
def test_it_converges_to_the_ode_with_order_2(law, start):
    errors = ends(law, heun, start, (160, 320))
    assert errors[-1] < 1e-4
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("law", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_encoding_and_drawing_come_back_with_order_2(law):
    errors = []
    for n in (80, 160):
        times = even_in_log_snr(n, -4.0, 3.0)
        x = torch.tensor([[0.4]], dtype=torch.float64)
        up = last(heun(exact_denoiser(law), SCHEDULE, x, times[::-1])).x
        errors.append(abs(up.item() - carried(law, 0.4, times[-1], times[0])))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_a_step_costs_two_estimates_and_the_last_one():
    denoise = counted(exact_denoiser(MIXTURE))
    x = torch.ones(3, 1, dtype=torch.float64)
    steps = list(heun(denoise, SCHEDULE, x, [100, 60, 20, 0]))
    assert denoise.evaluations == 5
    assert torch.equal(steps[-1].x, steps[-1].x_start)
    assert [s.t for s in steps] == [60, 20, 0]


def test_where_the_answer_is_constant_it_is_the_rotation_of_ddim_to_third_order():
    # x_start that never changes: the exact solution is a rotation, which ddim follows exactly.
    def constant(x, t):
        return torch.full_like(x, 0.25)

    x = torch.tensor([[2.0]], dtype=torch.float64)
    errors = []
    for gap in (8.0, 4.0):
        times = [60.0, 60.0 - gap]
        one, two = (last(s(constant, SCHEDULE, x, times)).x.item() for s in (heun, ddim))
        errors.append(abs(one - two))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.3)


def test_it_starts_where_no_signal_is_left():
    schedule = Schedule(
        torch.tensor([1, 0.8, 0.6, 0], dtype=torch.float64),
        torch.tensor([0, 0.6, 0.8, 1], dtype=torch.float64),
    )
    x = torch.tensor([[2.0]], dtype=torch.float64)
    (step,) = heun(lambda x, t: torch.full_like(x, 0.25), schedule, x, [3, 2])
    assert step.x.isfinite().all()
    # by hand: v = -x_start at alpha = 0; the try is 0.6 * 0.25 + 0.8 * 2
    tried = 0.6 * 0.25 + 0.8 * 2
    noise = (tried - 0.6 * 0.25) / 0.8
    slope = 0.6 * noise - 0.8 * 0.25
    expected = 2 + (math.atan2(0.8, 0.6) - math.pi / 2) * (-0.25 + slope) / 2
    assert step.x.item() == pytest.approx(expected, rel=1e-12)
