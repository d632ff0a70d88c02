import pytest
import torch

from denoising_diffusion import GaussianDiffusion, Schedule, cosine_beta_schedule
from denoising_diffusion.weights import min_snr, sigmoid

SCHEDULE = Schedule.from_betas(cosine_beta_schedule(50))
T = torch.arange(1, 51)
SNR = (SCHEDULE.alpha / SCHEDULE.sigma)[1:] ** 2


def factor(prediction, weight):
    """The weight that the prediction's own error gets."""
    model = GaussianDiffusion(SCHEDULE, (1,), lambda x, t: x, prediction)
    return weight(SCHEDULE.log_snr[1:]) * model.x_start_factor(T)


def test_min_snr_is_the_published_weight_of_every_prediction():
    close = {"rtol": 1e-10, "atol": 0}
    capped = SNR.clamp(max=5)
    torch.testing.assert_close(factor("x_start", min_snr), capped, **close)
    torch.testing.assert_close(factor("noise", min_snr), capped / SNR, **close)
    torch.testing.assert_close(factor("v", min_snr), capped / (SNR + 1), **close)


@pytest.mark.parametrize("bias", [-3.0, -1.0, 2.0])
def test_sigmoid_is_a_sigmoid_on_the_error_of_the_noise(bias):
    weights = factor("noise", lambda log_snr: sigmoid(log_snr, bias=bias))
    torch.testing.assert_close(weights, torch.sigmoid(bias - SNR.log()), rtol=1e-9, atol=1e-15)


def test_both_are_finite_at_the_ends():
    ends = torch.tensor([-700.0, 700.0], dtype=torch.float64)
    assert min_snr(ends).isfinite().all()
    assert sigmoid(ends).isfinite().all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: min_snr(SNR, gamma=0.0), "gamma must be a finite number above 0, got 0"),
        (lambda: sigmoid(SNR, bias=float("inf")), "bias must be a finite number, got inf"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()
