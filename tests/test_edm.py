import math

import pytest
import torch

from denoising_diffusion import GaussianDiffusion, tables
from denoising_diffusion.edm import edm_prediction, edm_schedule, edm_weight, log_normal_times
from denoising_diffusion.seeds import stream


def test_the_schedule_is_that_of_the_paper():
    schedule = edm_schedule(timesteps=18)
    assert torch.equal(schedule.alpha, torch.ones(19, dtype=torch.float64))
    i = torch.arange(18, dtype=torch.float64)  # eq. 5 counts from the noisiest
    sigma = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(schedule.sigma[1:].flip(0), sigma, rtol=1e-12, atol=0)


def test_it_reaches_noise_and_is_not_warned_of(recwarn):
    edm_schedule()
    assert not recwarn
    with pytest.warns(UserWarning, match="does not reach noise: .* is 0.2 at T = 5"):
        edm_schedule(timesteps=5, sigma_max=2)


@pytest.mark.parametrize("sigma_data", [0.5, 0.62, 2.0])
def test_f_is_preconditioned_as_in_table_1(sigma_data):
    sigma = torch.tensor([0.002, 0.3, 1.0, 80.0], dtype=torch.float64)
    alpha = torch.ones_like(sigma)
    prediction = edm_prediction(sigma_data=sigma_data)
    skip, out = prediction.coefficients(alpha, sigma)
    n = (sigma**2 + sigma_data**2).sqrt()
    torch.testing.assert_close(skip, sigma_data**2 / n**2)
    torch.testing.assert_close(out, sigma * sigma_data / n)
    x, time = prediction.inputs(torch.ones(4, 1), sigma, alpha[:, None], sigma[:, None])
    torch.testing.assert_close(x[:, 0], 1 / n)
    torch.testing.assert_close(time, sigma.log() / 4)


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_what_f_should_answer_has_unit_variance_and_its_input_too(alpha):
    # With data of variance sigma_data² the target is (x_start - skip x) / out.
    sigma, sigma_data = torch.tensor(0.7, dtype=torch.float64), 0.5
    a = torch.tensor(alpha, dtype=torch.float64)
    skip, out = edm_prediction(sigma_data=sigma_data).coefficients(a, sigma)
    of_start, of_noise = (1 - skip * a) / out, -skip * sigma / out
    variance = of_start**2 * sigma_data**2 + of_noise**2
    assert variance.item() == pytest.approx(1, rel=1e-12)
    assert (a**2 * sigma_data**2 + sigma**2).item() == pytest.approx(
        ((sigma**2 + a**2 * sigma_data**2).sqrt() ** 2).item()
    )


def test_its_weight_is_1_on_the_error_of_f():
    schedule = edm_schedule(timesteps=40)
    model = GaussianDiffusion(schedule, (1,), lambda x, t: x, {"name": "edm", "sigma_data": 0.62})
    t = torch.arange(1, 41)
    weight = edm_weight(schedule.log_snr[1:], sigma_data=0.62)
    torch.testing.assert_close(
        weight * model.x_start_factor(t), torch.ones(40, dtype=torch.float64), rtol=1e-12, atol=0
    )


def log_sigma(schedule, t):
    alpha, sigma = schedule(t)
    return sigma.log() - alpha.log()


def test_log_normal_times_follow_the_truncated_law_and_are_stratified():
    schedule, n = edm_schedule(), 4000
    t = log_normal_times(schedule, n, stream(0, "x"), mean=-1.2, std=1.2)
    z = ((log_sigma(schedule, t) + 1.2) / 1.2).sort().values
    ends = ((torch.tensor([0.002, 80.0]).double().log()) + 1.2) / 1.2
    low, high = torch.special.ndtr(ends)
    share = (torch.special.ndtr(z) - low) / (high - low)
    # One draw in each of n equal shares: the k-th smallest lies in [k/n, (k+1)/n].
    k = torch.arange(n, dtype=torch.float64)
    assert (share >= k / n - 1e-9).all()
    assert (share <= (k + 1) / n + 1e-9).all()
    assert not torch.equal(t, t.sort().values)


@pytest.mark.parametrize("mean", [-40.0, 40.0])
def test_even_a_law_far_outside_gives_times_of_the_schedule(mean):
    t = log_normal_times(edm_schedule(), 100, stream(0, "x"), mean=mean)
    assert t.isfinite().all()
    assert ((t >= 1) & (t <= 100)).all()


def test_a_run_can_name_all_of_it():
    for table in ("schedule", "prediction", "times", "weight"):
        options = {"times": {"mean": 0.4}, "prediction": {"sigma_data": 0.6}}.get(table, {})
        name = "log-normal" if table == "times" else "edm"
        assert callable(tables.bound(table, {"name": name, **options}))
    with pytest.raises(ValueError, match="weight edm takes no mean; it takes sigma_data"):
        tables.bound("weight", {"name": "edm", "mean": 1.0})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: edm_schedule(timesteps=1), "timesteps must lie in 2..1000000, got 1"),
        (lambda: edm_schedule(sigma_min=90), "sigma_min must be below sigma_max, got 90"),
        (lambda: edm_prediction(sigma_data=0.0), "sigma_data must be a finite number above 0"),
        (lambda: edm_weight(torch.zeros(1), sigma_data=math.nan), "sigma_data must be a finite"),
        (
            lambda: log_normal_times(edm_schedule(), 3, stream(0, "x"), std=-1.0),
            "std must be a finite number above 0, got -1",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()
