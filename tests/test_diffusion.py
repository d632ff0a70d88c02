import math

import pytest
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    GaussianDiffusion,
    Schedule,
    absolute_error,
    cosine_beta_schedule,
    squared_error,
)
from denoising_diffusion.samplers import last

BETAS = cosine_beta_schedule(100)
SCHEDULE = Schedule.from_betas(BETAS)
PREDICTIONS = ("noise", "x_start", "v")


def zeros(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x)


def model(denoise_fn=zeros, prediction: str = "noise", shape=(2,)) -> GaussianDiffusion:
    return GaussianDiffusion(SCHEDULE, shape, denoise_fn, prediction)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


TIMES = torch.tensor([1, 2, 37, 99])
X_START, NOISE = randn(4, 2, seed=1), randn(4, 2, seed=2)


def consistent(prediction: str, x_start: Tensor = X_START):
    """The network that knows x_start, and says so in the words of this prediction."""

    def denoise_fn(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.at(t, like=x)
        noise = (x - alpha * x_start) / sigma
        return {"noise": noise, "x_start": x_start, "v": alpha * noise - sigma * x_start}[
            prediction
        ]

    return denoise_fn


def test_q_sample_mixes_signal_and_noise():
    x = model().q_sample(X_START, TIMES, NOISE)
    a = SCHEDULE.alpha_cumprod[TIMES].view(-1, 1)
    torch.testing.assert_close(x, a.sqrt() * X_START + (1 - a).sqrt() * NOISE)
    assert torch.equal(model().q_sample(X_START, torch.zeros(4).long(), NOISE), X_START)


def test_predict_start_and_predict_noise_undo_q_sample():
    d = model()
    x = d.q_sample(X_START, TIMES, NOISE)
    close = {"rtol": 0, "atol": 1e-10}
    torch.testing.assert_close(d.predict_start_from_noise(x, TIMES, NOISE), X_START, **close)
    torch.testing.assert_close(d.predict_noise_from_start(x, TIMES, X_START), NOISE, **close)


def test_posterior_is_bayes_on_a_scalar():
    for t in (2, 37, 100):
        beta = BETAS[t - 1].item()
        prior = SCHEDULE.alpha_cumprod[t - 1].item()
        x_start, x = 0.7, -1.2
        # The product of N(x_{t-1}; sqrt(prior) x_0, 1 - prior), and the likelihood of x_{t-1}
        # given x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) noise: precisions add up.
        precision = 1 / (1 - prior) + (1 - beta) / beta
        weighted = math.sqrt(prior) * x_start / (1 - prior) + math.sqrt(1 - beta) * x / beta
        mean, variance = model(shape=(1,)).q_posterior_mean_variance(
            torch.tensor([[x_start]], dtype=torch.float64),
            torch.tensor([[x]], dtype=torch.float64),
            torch.tensor([t]),
        )
        assert variance.item() == pytest.approx(1 / precision, rel=1e-9)
        assert mean.item() == pytest.approx(weighted / precision, rel=1e-9)


def test_posterior_equals_the_original_coefficients():
    d, t = model(shape=(1,)), torch.arange(1, 101)
    one, nil = torch.ones(100, 1, dtype=torch.float64), torch.zeros(100, 1, dtype=torch.float64)
    a = (1 - BETAS).cumprod(0)
    a_prev = torch.cat([a.new_ones(1), a[:-1]])
    coef1, variance = d.q_posterior_mean_variance(one, nil, t)
    coef2, _ = d.q_posterior_mean_variance(nil, one, t)
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(coef1[:, 0], BETAS * a_prev.sqrt() / (1 - a), **close)
    torch.testing.assert_close(coef2[:, 0], (1 - a_prev) * (1 - BETAS).sqrt() / (1 - a), **close)
    torch.testing.assert_close(variance[:, 0], BETAS * (1 - a_prev) / (1 - a), **close)
    assert (coef1[0].item(), coef2[0].item(), variance[0].item()) == (1, 0, 0)


def test_posterior_variance_is_shaped_to_multiply_a_batch():
    x = torch.zeros(3, 1, 4, 4)
    _, variance = model(shape=(1, 4, 4)).q_posterior_mean_variance(x, x, torch.tensor([1, 2, 3]))
    assert variance.shape == (3, 1, 1, 1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_every_prediction_of_a_consistent_network_gives_the_same_estimate(prediction):
    d = model(consistent(prediction), prediction)
    torch.testing.assert_close(d.denoise(randn(4, 2), TIMES), X_START, rtol=0, atol=1e-9)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_consistent_network_has_no_loss(prediction):
    losses = model(consistent(prediction), prediction).p_losses(X_START, TIMES, NOISE)
    torch.testing.assert_close(losses, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-20)


def test_v_prediction_works_where_the_norm_of_a_row_is_not_1():
    schedule = Schedule(
        torch.tensor([1, 1.0, 0], dtype=torch.float64),
        torch.tensor([0, 2.0, 3], dtype=torch.float64),
    )
    d = GaussianDiffusion(schedule, (2,), lambda x, t: NOISE - 2 * X_START, "v")
    t = torch.ones(4).long()
    torch.testing.assert_close(d.denoise(d.q_sample(X_START, t, NOISE), t), X_START)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_p_losses_compare_with_what_the_network_should_predict(prediction):
    a = SCHEDULE.alpha[TIMES].view(-1, 1)
    s = SCHEDULE.sigma[TIMES].view(-1, 1)
    target = {"noise": NOISE, "x_start": X_START, "v": a * NOISE - s * X_START}[prediction]
    d = model(prediction=prediction)
    losses = d.p_losses(X_START, TIMES, NOISE)
    torch.testing.assert_close(losses, (target**2).mean(1))
    torch.testing.assert_close(
        d.p_losses(X_START, TIMES, NOISE, loss=absolute_error), target.abs().mean(1)
    )
    per_sample = d.p_losses(X_START, TIMES, NOISE, loss=lambda p, q: (p - q).abs().amax(1))
    torch.testing.assert_close(per_sample, target.abs().amax(1))


def test_elementwise_losses():
    p, q = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 1.0])
    assert squared_error(p, q).tolist() == [4, 9]
    assert absolute_error(p, q).tolist() == [2, 3]


def test_the_network_sees_noised_data_float32_times_and_the_conditions():
    seen = []

    def denoise_fn(x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        seen.append((x, t, conditions))
        return x

    labels = torch.tensor([0, 1, 2, 3])
    d = model(denoise_fn)
    d.p_losses(X_START, TIMES, NOISE, labels)
    d.denoise(X_START, TIMES, labels)
    for x, expected in zip(
        (seen[0][0], seen[1][0]), (d.q_sample(X_START, TIMES, NOISE), X_START), strict=True
    ):
        assert torch.equal(x, expected)
    for _, t, conditions in seen:
        assert t.dtype == torch.float32
        assert t.tolist() == TIMES.tolist()
        assert conditions[0] is labels


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_answers_leave_half_precision(prediction, half: torch.dtype):
    answer = NOISE.to(half)
    d = model(lambda x, t: answer, prediction)
    estimate = d.denoise(X_START.float(), TIMES)
    exact = model(lambda x, t: answer.float(), prediction).denoise(X_START.float(), TIMES)
    assert estimate.dtype == torch.float32
    assert torch.equal(estimate, exact)
    assert d.p_losses(X_START.float(), TIMES, NOISE.float()).dtype == torch.float32


def test_only_the_network_has_parameters_and_a_state():
    d = model(nn.Linear(2, 2))
    assert sorted(d.state_dict()) == ["denoise_fn.bias", "denoise_fn.weight"]
    assert "num_timesteps=100, data_shape=(2,), prediction='noise'" in repr(d)


def test_betas_are_wrapped_in_a_schedule():
    d = GaussianDiffusion(BETAS, (2,), zeros)
    assert torch.equal(d.schedule.alpha, SCHEDULE.alpha)
    assert d.num_timesteps == 100


def test_noise_prediction_is_refused_where_no_signal_is_left():
    betas = cosine_beta_schedule(10, max_beta=1)
    betas[-1] = 1
    with pytest.raises(
        ValueError, match=r"noise prediction needs signal.*at t = 10, where alpha is 0"
    ):
        GaussianDiffusion(betas, (2,), zeros)
    for prediction in ("x_start", "v"):
        estimate = GaussianDiffusion(betas, (2,), zeros, prediction).denoise(
            X_START, torch.full((4,), 10)
        )
        torch.testing.assert_close(estimate, torch.zeros_like(estimate))


SHORT = torch.zeros(4, 1, dtype=torch.float64)
WIDE = model(lambda x, t: torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: model(prediction="score"),
            "prediction must be one of noise, x_start, v.*got 'score'",
        ),
        (lambda: model(shape=(2, 0)), r"data_shape must hold .* at least 1, got \(2, 0\)"),
        (lambda: model().q_sample(X_START, TIMES, SHORT), r"noise must .*\(4, 2\), got \(4, 1\)"),
        (lambda: model().q_sample(X_START, TIMES[:2], NOISE), r"t must have shape \(4,\).*\(2,\)"),
        (lambda: model().q_sample(X_START, TIMES + 9, NOISE), r"times must lie in \[0, 100\]"),
        (
            lambda: model().q_posterior_mean_variance(X_START, SHORT, TIMES),
            r"x must have shape \(4, 2\), got \(4, 1\)",
        ),
        (
            lambda: model().q_posterior_mean_variance(X_START, NOISE, TIMES - 1),
            r"t must lie in 1\.\.100, got 0",
        ),
        (
            lambda: model().predict_start_from_noise(X_START, TIMES, SHORT),
            r"noise must have shape \(4, 2\), got \(4, 1\)",
        ),
        (
            lambda: model().predict_noise_from_start(X_START, TIMES, SHORT),
            r"x_start must have shape \(4, 2\), got \(4, 1\)",
        ),
        (lambda: model().denoise(SHORT, TIMES), r"x must have shape \(b, 2\), got \(4, 1\)"),
        (lambda: WIDE.denoise(X_START, TIMES), r"denoise_fn must .*\(4, 2\), got \(4, 3\)"),
        (
            lambda: model().p_losses(X_START, TIMES, NOISE, loss=lambda p, q: (p - q).mean()),
            r"loss must return values per element, \(4, 2\), or per sample, \(4,\), got \(\)",
        ),
        (
            lambda: model().p_losses(X_START, TIMES, NOISE, loss=lambda p, q: (p - q)[:, :1]),
            r"loss must return values .* got \(4, 1\)",
        ),
    ],
)
def test_errors(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_types_are_refused_by_name():
    for wrong in (None, "5", [1], 5):
        with pytest.raises(TypeError, match="t must be a tensor, got"):
            model().q_posterior_mean_variance(X_START, NOISE, wrong)
        with pytest.raises(TypeError, match="loss must be callable, got"):
            model().p_losses(X_START, TIMES, NOISE, loss=wrong)
        if not isinstance(wrong, str | list):
            with pytest.raises(TypeError, match="steps must be a Iterable, got"):
                last(wrong)
    with pytest.raises(TypeError, match="the answer of loss must be a tensor, got float"):
        model().p_losses(X_START, TIMES, NOISE, loss=lambda p, q: 1.0)


def test_a_network_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="denoise_fn must be callable, got int"):
        model(3)


@pytest.mark.parametrize(
    ("clip", "kind", "reason"),
    [
        ((1.0, -1.0), ValueError, "clip must be .low, high. with low below high, got"),
        (((0.0, 1.0), (1.0, 1.0)), ValueError, "clip must be .low, high. with low below high"),
        (
            ((0.0,), (1.0,)),
            ValueError,
            r"clip has limits for 1 columns, but samples of shape \(2,\)",
        ),
        (((0.0,) * 3, 1.0), ValueError, "clip has limits for 3 columns"),
        (((0.0, float("nan")), 1.0), ValueError, "clip must be a finite number, got nan"),
        (((0.0, "1"), 1.0), TypeError, "clip must be a number, got str '1'"),
        ((0.0,), ValueError, "clip must hold 2 items, got 1"),
        (5, TypeError, "clip must be a tuple, got int 5"),
    ],
)
def test_the_range_of_the_data_is_checked(clip, kind, reason):
    with pytest.raises(kind, match=reason):
        GaussianDiffusion(cosine_beta_schedule(5), (2,), torch.nn.Identity(), clip=clip)


def test_the_range_of_the_data_may_be_one_per_column():
    for clip in (None, (-1.0, 1.0), (-1, (1.0, 2.0)), ((0.0, 1.0), (3.0, 4.0))):
        model = GaussianDiffusion(cosine_beta_schedule(5), (2,), torch.nn.Identity(), clip=clip)
        assert model.clip == clip
