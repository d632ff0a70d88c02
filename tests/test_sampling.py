import pytest
import torch
from torch import Tensor

from denoising_diffusion import (
    ClassifierFreeGuidance,
    GaussianDiffusion,
    Schedule,
    clipped,
    cosine_beta_schedule,
    ddim,
    ddim_sample,
    ddim_sample_loop,
    ddpm,
    p_sample,
    p_sample_loop,
    p_sample_loop_all,
    time_grid,
)
from denoising_diffusion.sampling import denoiser, start

T = 12
SCHEDULE = Schedule.from_betas(cosine_beta_schedule(T))


def network(x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
    shift = 0 if labels is None else labels.view(-1, 1, 1)
    return torch.tanh(x + t.view(-1, 1, 1) / T + shift / 3)


D = GaussianDiffusion(SCHEDULE, (2, 3), network)
LABELS = torch.tensor([1, 2, 0, 1])
GENERATOR = torch.Generator().manual_seed(0)
X, NOISE = torch.randn(2, 4, 2, 3, generator=GENERATOR)


def last(steps) -> Tensor:
    *_, step = steps
    return step.x


@pytest.mark.parametrize("clip", [True, False, (-0.2, 0.1)])
def test_the_denoiser_clips_to_the_range_asked_for(clip):
    t = torch.full((4,), 5.0)
    plain = D.denoise(X, t)
    low, high = {True: (-1, 1), False: (-1e9, 1e9)}.get(clip, clip)
    assert torch.equal(denoiser(D, clip=clip)(X, t), plain.clamp(low, high))
    assert (plain.abs() > 1).any()


def test_the_denoiser_guides_before_it_clips():
    t = torch.full((4,), 5.0)
    guided = ClassifierFreeGuidance(D.denoise, LABELS, 2.5)
    estimate = denoiser(D, labels=LABELS, guidance_scale=2.5)(X, t)
    assert torch.equal(estimate, clipped(guided)(X, t))
    halves = clipped(D.denoise)(X, t)
    assert not torch.equal(estimate, halves)
    labelled = denoiser(D, labels=LABELS, clip=False)(X, t)
    assert torch.equal(labelled, D.denoise(X, t, LABELS))


@pytest.mark.parametrize("guidance_scale", [0.0, 2.0])
def test_guidance_without_labels_is_refused(guidance_scale: float):
    for sample in (
        lambda: p_sample(D, X, 3, NOISE, guidance_scale=guidance_scale),
        lambda: ddim_sample(D, X, 3, 1, NOISE, guidance_scale=guidance_scale),
        lambda: p_sample_loop(D, 4, guidance_scale=guidance_scale),
        lambda: p_sample_loop_all(D, 4, guidance_scale=guidance_scale),
        lambda: ddim_sample_loop(D, 3, 4, guidance_scale=guidance_scale),
    ):
        with pytest.raises(ValueError, match=f"guidance_scale {guidance_scale} needs labels"):
            sample()


OPTIONS = [
    {},
    {"clip": False},
    {"clip": (-0.5, 0.5)},
    {"labels": LABELS},
    {"labels": LABELS, "guidance_scale": 2.0, "clip": False},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("t", [T, 5, 1])
def test_p_sample_is_ancestral(options, t: int):
    step = p_sample(D, X, t, NOISE, **options)
    x_start = denoiser(D, **options)(X, torch.full((4,), float(t)))
    mean, variance = D.q_posterior_mean_variance(x_start, X, torch.full((4,), t))
    assert step.t == t - 1
    assert torch.equal(step.x_start, x_start)
    torch.testing.assert_close(step.x, mean + variance.sqrt() * NOISE, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_sample_is_one_step_of_ddim(options, eta: float):
    step = ddim_sample(D, X, 9, 4, NOISE, eta=eta, **options)
    estimate = denoiser(D, **options)
    same = next(ddim(estimate, SCHEDULE, X, [9, 4], eta=eta, randn_like=lambda _: NOISE))
    assert step.t == same.t == 4
    assert torch.equal(step.x, same.x)
    assert torch.equal(step.x_start, same.x_start)
    assert torch.equal(ddim_sample(D, X, 9, 4, NOISE).x, ddim_sample(D, X, 9, 4, -NOISE).x)


@pytest.mark.parametrize("options", OPTIONS)
def test_p_sample_loop_is_the_walk_over_all_times(options):
    x, noise = start(D, 4, seed=7)
    walk = ddpm(denoiser(D, **options), SCHEDULE, x, range(T, -1, -1), randn_like=noise)
    assert torch.equal(p_sample_loop(D, 4, seed=7, **options), last(walk))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.5])
@pytest.mark.parametrize("num_steps", [1, 5, T])
def test_ddim_sample_loop_is_the_walk_over_a_grid(options, eta: float, num_steps: int):
    x, noise = start(D, 4, seed=7)
    times = time_grid(T, num_steps)
    walk = ddim(denoiser(D, **options), SCHEDULE, x, times, eta=eta, randn_like=noise)
    sample = ddim_sample_loop(D, num_steps, 4, eta=eta, seed=7, **options)
    assert torch.equal(sample, last(walk))


def test_ddim_with_eta_1_over_all_steps_is_p_sample_loop():
    d = GaussianDiffusion(SCHEDULE, (2, 3), network, "x_start")
    one, two = ddim_sample_loop(d, T, 4, eta=1.0, seed=7), p_sample_loop(d, 4, seed=7)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ddim_sample_loop(d, T, 4, seed=7), two, atol=1e-3)


def test_p_sample_loop_all_keeps_every_state_and_estimate():
    states, estimates = p_sample_loop_all(D, 4, seed=7)
    assert states.shape == estimates.shape == (T, 4, 2, 3)
    assert torch.equal(states[-1], estimates[-1])
    assert torch.equal(states[-1], p_sample_loop(D, 4, seed=7))
    x, _ = start(D, 4, seed=7)
    assert torch.equal(estimates[0], denoiser(D)(x, torch.full((4,), float(T))))
    assert torch.equal(estimates[1], denoiser(D)(states[0], torch.full((4,), T - 1.0)))
    assert p_sample_loop_all(D, seed=7)[0].shape == (T, 16, 2, 3)


def test_walks_start_from_noise_as_strong_as_the_last_row():
    with pytest.warns(UserWarning, match="does not reach noise"):
        d = GaussianDiffusion(torch.full((3,), 0.05), (50,), network)
    weak, _ = start(d, 3, seed=1)
    strong, _ = start(GaussianDiffusion(SCHEDULE, (50,), network), 3, seed=1)
    ratio = (d.schedule.sigma[-1] / SCHEDULE.sigma[-1]).item()
    torch.testing.assert_close(weak, ratio * strong)
    part, _ = start(d, 1, seed=1, first=2)
    assert torch.equal(part, weak[2:])


def test_walks_take_the_precision_of_the_parameters_but_never_half():
    for dtype, expected in [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ]:
        d = GaussianDiffusion(SCHEDULE, (2,), torch.nn.Linear(2, 2).to(dtype))
        assert start(d, 3, seed=0)[0].dtype == expected


def test_manual_seed_governs_samples_without_a_seed():
    def samples() -> tuple[Tensor, Tensor]:
        return p_sample_loop(D, 2), ddim_sample_loop(D, 3, 2)

    torch.manual_seed(0)
    one, two = samples(), samples()
    torch.manual_seed(0)
    three = samples()
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("num_steps", [0, T + 1])
def test_more_steps_than_timesteps_are_refused(num_steps: int):
    with pytest.raises(ValueError, match=rf"steps must lie in 1..{T}, .* got {num_steps}"):
        ddim_sample_loop(D, num_steps, 4)


def test_no_samples_and_a_wrong_eta_are_refused():
    for sample in (p_sample_loop, p_sample_loop_all):
        with pytest.raises(ValueError, match="num must be at least 1, got 0"):
            sample(D, 0)
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        ddim_sample_loop(D, 3, 0)
    with pytest.raises(ValueError, match=r"eta must lie in \[0, 1\], got 2"):
        ddim_sample_loop(D, 3, 4, eta=2.0)


def test_as_many_labels_as_samples_are_needed():
    with pytest.raises(ValueError, match="got 3 samples for 4 labels"):
        p_sample_loop(D, 3, labels=LABELS)
