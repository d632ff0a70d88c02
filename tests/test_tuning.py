from itertools import combinations, pairwise

import pytest
import torch

from denoising_diffusion import ddim, dpmpp_2m, last
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.samplers.grids import karras_grid, log_snr_grid, uniform_grid
from denoising_diffusion.samplers.tuning import _cheapest, tuned_times
from denoising_diffusion.schedule import cosine
from mixtures import Mixture

SCHEDULES = {"cosine": cosine(), "edm": edm_schedule(), "flow": rectified_flow()}
LAW = Mixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-0.7], [0.4]], dtype=torch.float64),
    torch.tensor([[[0.02]], [[0.01]]], dtype=torch.float64),
)


def noise(count, seed, schedule):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.randn(count, 1, generator=generator, dtype=torch.float64)
    return unit * schedule.sigma[-1]


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("sampler", [ddim, dpmpp_2m])
@pytest.mark.parametrize("steps", [1, 2, 6, 10])
def test_on_fresh_noise_tuned_times_are_as_good_as_any_others(schedule, sampler, steps):
    denoise = LAW.denoiser(schedule)
    others = {
        "uniform": uniform_grid(schedule, steps),
        "log-snr": log_snr_grid(schedule, steps),
        "karras": karras_grid(schedule, steps),
    }
    found = tuned_times(denoise, schedule, noise(128, 0, schedule), steps, sampler, others)
    assert len(found.times) == steps + 1
    assert found.times[-1] == 0
    assert found.errors["tuned"] == min(found.errors.values())
    assert set(found.errors) == {*others, "tuned"}

    fresh = noise(256, 1, schedule)
    true = last(dpmpp_2m(denoise, schedule, fresh, log_snr_grid(schedule, 300, high=1e3))).x

    def error(times):
        x = fresh * schedule(times[0])[1] / schedule.sigma[-1]
        return (last(sampler(denoise, schedule, x, times)).x - true).square().mean().sqrt().item()

    assert error(found.times) <= 1.1 * min(map(error, others.values()))


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_the_cheapest_way_is_the_cheapest_of_all(steps):
    cost = torch.rand(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    cost = cost.masked_fill(torch.ones(7, 7).tril().bool(), torch.inf)
    ways = [[0, *inner, 6] for inner in combinations(range(1, 6), steps - 1)]
    sums = [sum(cost[i, j].item() for i, j in pairwise(w)) for w in ways]
    assert _cheapest(cost, steps) == ways[sums.index(min(sums))]


@pytest.mark.parametrize("steps", [0, 97])
def test_refusals(steps):
    with pytest.raises(ValueError, match="steps"):
        tuned_times(LAW.denoiser(cosine()), cosine(), torch.zeros(2, 1), steps, ddim, {})
