"""Likelihoods against exact densities: mixtures, Gaussians, and sums over all grey levels."""

import math

import pytest
import torch
from scipy.special import roots_hermitenorm

import denoising_diffusion as dd
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.schedule import cosine
from denoising_diffusion.variational import _decoder
from mixtures import Mixture


def mixture(weight, mean, covariance):
    return Mixture(*(torch.tensor(v, dtype=torch.float64) for v in (weight, mean, covariance)))


LINE = mixture([0.3, 0.7], [[-0.8], [0.5]], [[[0.09]], [[0.04]]])
PLANE = mixture(
    [0.5, 0.2, 0.3],
    [[-0.8, 0.1], [0.5, 0.9], [0.4, -0.6]],
    [[[0.09, 0.05], [0.05, 0.04]], [[0.02, 0], [0, 0.2]], [[0.05, -0.03], [-0.03, 0.06]]],
)
GAUSSIAN = mixture([1.0], [[0.3]], [[[0.25]]])
# Both end in noise alone, so that what the ODE starts from is exact.
COSINE = cosine(timesteps=50, max_beta=1.0)
SCHEDULES = {"cosine": COSINE, "rectified flow": rectified_flow(timesteps=20)}


def places(law, count=40):
    """Where data lie, and somewhat beyond."""
    generator = dd.stream(0, "likelihood")
    x = law.sample(count, generator)
    return x + 0.15 * torch.randn(x.shape, generator=generator, dtype=torch.float64)


def width(schedule, t):
    alpha, sigma = schedule(t)
    return (sigma / alpha).item()


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("law", [LINE, PLANE], ids=["1-D", "2-D"])
def test_the_ode_gives_the_exact_density_of_a_mixture(law, schedule):
    x = places(law)
    start = schedule.time(-2 * math.log(1e-4)).item()
    found = dd.ode_log_likelihood(law.denoiser(schedule), schedule, x, start=start, steps=110)
    assert not found.error.any()
    torch.testing.assert_close(found.value, law.log_density(x, 1e-4), rtol=0, atol=5e-5)
    torch.testing.assert_close(found.value, law.log_density(x), rtol=0, atol=1e-4)


def test_it_converges_with_order_4_to_the_density_with_the_noise_of_the_start():
    x, start = places(PLANE), 3.0
    exact = PLANE.log_density(x, width(COSINE, start))
    errors = [
        (dd.ode_log_likelihood(PLANE.denoiser(COSINE), COSINE, x, start=start, steps=n).value)
        .sub(exact)
        .abs()
        .max()
        .item()
        for n in (12, 24, 48)
    ]
    assert errors[-1] < 1e-4
    assert math.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.4)


def test_the_start_errs_by_the_square_of_its_noise():
    x = places(LINE)
    denoise = LINE.denoiser(COSINE)
    errors = []
    for noise in (0.04, 0.02):
        start = COSINE.time(-2 * math.log(noise)).item()
        found = dd.ode_log_likelihood(denoise, COSINE, x, start=start, steps=60).value
        errors.append((found - LINE.log_density(x)).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_a_schedule_that_keeps_signal_tells_the_density_of_its_own_samples():
    # Nothing but N(0, sigma_T²) enters at T; of a Gaussian the whole map is affine and known.
    with pytest.warns(UserWarning, match="does not reach noise"):
        schedule = edm_schedule(timesteps=20, sigma_max=3.0)
    variance, mean = 0.25, 0.3
    start = 1.0
    s, final = width(schedule, start), 3.0
    shrunk = math.sqrt((variance + s**2) / (variance + final**2))
    std, centre = final * shrunk, mean - shrunk * mean
    x = places(GAUSSIAN)
    exact = -((x[:, 0] - centre) ** 2) / (2 * std**2) - math.log(std * math.sqrt(2 * math.pi))
    found = dd.ode_log_likelihood(GAUSSIAN.denoiser(schedule), schedule, x, steps=200)
    torch.testing.assert_close(found.value, exact, rtol=0, atol=1e-6)


def test_the_probes_are_right_in_the_mean_and_know_their_error():
    x = places(PLANE, 400)
    denoise = PLANE.denoiser(COSINE)
    exact = dd.ode_log_likelihood(denoise, COSINE, x, steps=8).value
    for seed in (0, 1):
        noise = dd.SampleNoise(seed, range(400))
        found = dd.ode_log_likelihood(denoise, COSINE, x, steps=8, probes=8, randn_like=noise)
        away = found.value - exact
        error = found.error.square().sum().sqrt().item() / 400
        assert away.abs().max() > 1e-3
        assert abs(away.mean().item()) < 3 * error
        assert away.square().mean() == pytest.approx(found.error.square().mean().item(), rel=0.25)
    one = dd.ode_log_likelihood(denoise, COSINE, x, steps=2, probes=1)
    assert one.error.isnan().all()


def test_in_many_dimensions_two_probes_are_taken_and_0_is_exact():
    d = 17
    law = Mixture(torch.ones(1), torch.zeros(1, d), 0.25 * torch.eye(d)[None])
    denoise = dd.counted(law.denoiser(COSINE))
    x = torch.randn(3, d, generator=dd.stream(0, "likelihood"))
    found = dd.ode_log_likelihood(denoise, COSINE, x, steps=5)
    assert denoise.evaluations == 20
    # Of a multiple of the unit matrix every sign gives the trace.
    exact = dd.ode_log_likelihood(denoise, COSINE, x, steps=5, probes=0)
    torch.testing.assert_close(found.value, exact.value, rtol=0, atol=1e-4)
    assert found.error.max() < 1e-5


def nodes(count):
    """Places and weights that integrate polynomials against the normal law exactly."""
    place, weight = roots_hermitenorm(count)
    return torch.tensor(place), torch.tensor(weight / weight.sum())


def test_the_bound_of_a_gaussian_is_above_its_entropy_by_what_its_steps_cannot_know():
    schedule = cosine(timesteps=12, max_beta=0.999)
    law, variance, mean = GAUSSIAN, 0.25, 0.3
    place, weight = nodes(5)
    x = (mean + math.sqrt(variance) * place).repeat_interleave(5)[:, None]
    noise, both = place.repeat(5)[:, None], torch.outer(weight, weight).flatten()
    bound = dd.variational_bound(law.denoiser(schedule), schedule, x, randn_like=lambda x: noise)
    entropy = 0.5 * math.log(2 * math.pi * math.e * variance)
    found = -(both * bound).sum().item() - entropy

    expected = 0.0
    for t in range(1, 13):
        (a, s), (a_s, s_s), (a_2, s_2) = (
            tuple(v.item() for v in schedule(u)) for u in (t, t - 1, max(t, 2))
        )
        left = variance * s**2 / (a**2 * variance + s**2)  # Var(x_0 | x_t)
        added = s**2 - (a / a_s * s_s) ** 2
        if t == 1:  # the decoder has the variance of q(x_1 | x_2, x_0)
            step = (s_2**2 - (a_2 / a * s) ** 2) * s**2 / s_2**2
            r = left / step
        else:
            step = added * s_s**2 / s**2
            r = 1 + (a_s * added / s**2) ** 2 * left / step
        expected += 0.5 * (r - 1 - math.log(r))
    # and the start from N(0, sigma_T²) instead of the law of x_T
    a, s = (v.item() for v in schedule(12))
    r, away = (a**2 * variance + s**2) / s**2, a * mean / s
    expected += 0.5 * (r - 1 - math.log(r) + away**2)
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("law", [LINE, PLANE], ids=["1-D", "2-D"])
def test_the_bound_is_never_above_the_exact_density(law):
    # Over data of the law: what the bound lacks is a divergence, which is positive.
    x = law.sample(2000, dd.stream(1, "likelihood"))
    for timesteps in (5, 20, 80):
        schedule = cosine(timesteps=timesteps)
        noise = dd.SampleNoise(0, range(2000))
        bound = dd.variational_bound(law.denoiser(schedule), schedule, x, randn_like=noise)
        gap = law.log_density(x) - bound
        assert gap.mean() > 3 * gap.std() / math.sqrt(2000)


def test_a_term_of_the_bound_is_the_divergence_of_the_steps():
    schedule = cosine(timesteps=5)
    model = dd.GaussianDiffusion(schedule, (3,), lambda x, t: 0.7 * x, "x_start")
    x = torch.randn(4, 3, generator=dd.stream(2, "likelihood"), dtype=torch.float64)
    noises = torch.randn(5, 4, 3, generator=dd.stream(3, "likelihood"), dtype=torch.float64)
    given = iter(noises)
    found = dd.variational_bound(model.denoise, schedule, x, randn_like=lambda x: next(given))
    total = -0.5 * (schedule.alpha[5] / schedule.sigma[5]) ** 2 * x.square().sum(1)
    for i in range(2, 6):
        t = torch.full((4,), i)
        noised = model.q_sample(x, t, noises[i - 1])
        mean, variance = model.q_posterior_mean_variance(x, noised, t)
        other, _ = model.q_posterior_mean_variance(0.7 * noised, noised, t)
        total -= ((mean - other).square() / (2 * variance)).sum(1)
    std = variance_of_the_second_step(model, x).sqrt()
    noised = model.q_sample(x, torch.ones(4, dtype=torch.long), noises[0])
    total += torch.distributions.Normal(0.7 * noised, std).log_prob(x).sum(1)
    torch.testing.assert_close(found, total, rtol=1e-12, atol=0)


def variance_of_the_second_step(model, x):
    return model.q_posterior_mean_variance(x, x, torch.full((len(x),), 2))[1]


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.21, 0.99, 40.0])
def test_the_decoder_is_a_probability_over_all_levels(levels, mean):
    x = torch.linspace(-1, 1, levels, dtype=torch.float64)
    found = _decoder(x, torch.full_like(x, mean), 0.03, levels)
    assert found.isfinite().all()
    assert found.logsumexp(0).item() == pytest.approx(0, abs=1e-9)
    half = 1 / (levels - 1)
    if levels == 17 and mean == 0.21:
        cell = torch.distributions.Normal(*torch.tensor([mean, 0.03], dtype=torch.float64))
        assert found[10].exp().item() == pytest.approx(
            (cell.cdf(x[10] + half) - cell.cdf(x[10] - half)).item(), rel=1e-9
        )


def test_both_agree_on_grey_levels_and_neither_promises_too_much():
    # Independent pixels of few levels with known chances: their entropy is the least there is.
    chance = torch.tensor([0.5, 0.0, 0.2, 0.0, 0.3], dtype=torch.float64)
    values = torch.linspace(-1, 1, 5, dtype=torch.float64)
    schedule = cosine(timesteps=200)

    def denoise(x, t):
        alpha, sigma = schedule.at(t, like=x)
        away = (x[..., None] - alpha[..., None] * values) / sigma[..., None]
        return (chance.log() - away.square() / 2).softmax(-1) @ values

    x = values[torch.multinomial(chance, 6000, True, generator=dd.stream(4, "likelihood"))]
    x = x.view(2000, 3)
    entropy = -(chance[chance > 0] * chance[chance > 0].log2()).sum().item()
    noise = dd.SampleNoise(0, range(2000))
    start = schedule.time(-2 * math.log(0.5 / math.sqrt(12))).item()
    smooth = dd.dequantised(x, 5, noise)
    ode = dd.ode_log_likelihood(denoise, schedule, smooth, start=start, steps=30)
    ode = dd.bits_per_dim(ode.value, 3, levels=5)
    bound = dd.variational_bound(denoise, schedule, x, levels=5, randn_like=noise)
    bound = dd.bits_per_dim(bound, 3)
    for found in (ode, bound):
        error = (found.std() / math.sqrt(2000)).item()
        assert found.mean().item() > entropy - 3 * error
    assert bound.mean().item() == pytest.approx(entropy, abs=0.15)
    # Lone levels under a normal law of the width of the uniform one: its divergence, 0.255 bits.
    lone = 0.5 * (math.log(2 * math.pi / 12) + 1) / math.log(2)
    assert ode.mean().item() == pytest.approx(entropy + lone, abs=0.05)


def test_dequantised_levels_fill_their_cells_evenly():
    x = torch.linspace(-1, 1, 5)[:, None].repeat(1, 20_000)
    found = (dd.dequantised(x, 5, dd.SampleNoise(0, range(5))) - x) / 0.5
    assert found.abs().max() <= 0.5
    torch.testing.assert_close(found.mean(1), torch.zeros(5), rtol=0, atol=0.01)
    torch.testing.assert_close(found.var(1), torch.full((5,), 1 / 12), rtol=0.03, atol=0)


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 1001])
def test_the_levels_of_data_are_found_from_any_part_of_them(levels):
    x = torch.arange(levels) / ((levels - 1) / 2) - 1
    assert dd.grey_levels(x) == levels
    assert dd.grey_levels(x[[0, levels // 2, -1, -2]]) <= levels


def test_few_values_may_tell_all_levels_and_continuous_ones_none():
    scaled = torch.arange(256).float() / 127.5 - 1
    assert dd.grey_levels(scaled[[0, 7, 255]]) == 256
    assert dd.grey_levels(torch.randn(50, generator=dd.stream(0, "x")).clamp(-1, 1)) is None
    assert dd.grey_levels(3 * scaled) is None


def test_digits_have_17_levels():
    assert dd.grey_levels(dd.whole(dd.load_dataset("digits").train)[0]) == 17


def test_the_seed_moves_the_figures_within_their_interval():
    law, schedule = PLANE, cosine(timesteps=20)
    x = places(law, 300)
    means = []
    for seed in (0, 1):
        noise = dd.SampleNoise(seed, range(300))
        bound = dd.variational_bound(law.denoiser(schedule), schedule, x, randn_like=noise)
        again = dd.SampleNoise(seed, range(300))
        same = dd.variational_bound(law.denoiser(schedule), schedule, x, randn_like=again)
        assert torch.equal(bound, same)
        means.append((bound.mean().item(), 1.96 * bound.std().item() / math.sqrt(300)))
    assert means[0][0] != means[1][0]
    assert abs(means[0][0] - means[1][0]) < means[0][1]


def test_bits_are_nats_over_their_logarithm():
    nats = torch.tensor([-math.log(2) * 6, 0.0], dtype=torch.float64)
    assert dd.bits_per_dim(nats, 3).tolist() == pytest.approx([2.0, 0.0])
    assert dd.bits_per_dim(nats, 3, levels=257).tolist() == pytest.approx([9.0, 7.0])


def test_what_has_no_likelihood_is_refused():
    x = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"start must lie in \(0, 50\), got 0"):
        dd.ode_log_likelihood(lambda x, t: x, COSINE, x, start=0)
    with pytest.raises(ValueError, match="has no gradient"):
        dd.ode_log_likelihood(lambda x, t: torch.zeros_like(x), COSINE, x)
    with pytest.raises(ValueError, match=r"answer of denoise must have shape \(2, 2\)"):
        dd.ode_log_likelihood(lambda x, t: x[:1], COSINE, x)
    with pytest.raises(ValueError, match="x must hold 17 grey levels"):
        dd.variational_bound(lambda x, t: x, COSINE, x + 0.01, levels=17)
    with pytest.raises(ValueError, match="at least 2 timesteps, got 1"):
        dd.variational_bound(lambda x, t: x, rectified_flow(timesteps=1), x)
    with pytest.raises(ValueError, match="probes must be at least 0, got -1"):
        dd.ode_log_likelihood(lambda x, t: x, COSINE, x, probes=-1)
