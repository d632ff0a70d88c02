"""Laws that a round of mistakes (`mutation.py`) found missing: each kills one that nothing saw."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

import denoising_diffusion as dd
from denoising_diffusion import loss as losses
from denoising_diffusion.data.curves import SPIRAL, Arc
from denoising_diffusion.edm import edm_prediction, edm_schedule, edm_weight, log_normal_times
from denoising_diffusion.ema import warmed_up
from denoising_diffusion.metrics import FrechetEstimate, Memorisation, judge
from denoising_diffusion.metrics.points import closest_on_curve
from denoising_diffusion.sampling import start
from denoising_diffusion.schedule import cosine, linear
from denoising_diffusion.seeds import base_seed

WIDE = dd.Schedule(torch.tensor([1.0, 0.8, 0.0]), torch.tensor([0.0, 1.0, 3.0]))
MODEL = dd.GaussianDiffusion(WIDE, (3,), lambda x, t: x, "v")
X = torch.randn(5, 3, generator=dd.stream(0, "laws"))


def test_the_first_noise_is_as_wide_as_the_last_row_says():
    noise = dd.SampleNoise(7, range(4))(torch.empty(4, 3))
    assert torch.equal(start(MODEL, 4, 7)[0], 3 * noise)


def test_the_noise_of_a_sample_comes_in_blocks_of_256_numbers():
    noise = dd.SampleNoise(5, [9])
    found = torch.cat([noise(torch.empty(1, 3)) for _ in range(90)])
    generator = dd.stream(5, "sample", 9)
    blocks = [torch.randn(256 // 3, 3, generator=generator) for _ in range(2)]
    assert torch.equal(found, torch.cat(blocks)[:90])
    large = dd.SampleNoise(5, [9])(torch.empty(1, 300))
    assert torch.equal(large, torch.randn(1, 300, generator=dd.stream(5, "sample", 9)))


def test_the_nearest_place_on_any_polyline_is_that_of_a_dense_search():
    corners = torch.randn(6, 2, generator=dd.stream(1, "laws"), dtype=torch.float64) * 2
    length = corners.diff(dim=0).norm(dim=1).cumsum(0)
    fraction = torch.cat([torch.zeros(1, dtype=torch.float64), length / length[-1]])
    points = torch.randn(40, 2, generator=dd.stream(2, "laws"), dtype=torch.float64) * 3
    places, at = closest_on_curve(points, (corners, fraction))
    share = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    dense = torch.cat([a + share * (b - a) for a, b in itertools.pairwise(corners)])
    distance = torch.cdist(points, dense).amin(1)
    torch.testing.assert_close((points - places).norm(dim=1), distance, rtol=0, atol=1e-5)
    i = torch.searchsorted(fraction, at.contiguous()).clamp(1, 5)
    part = ((at - fraction[i - 1]) / (fraction[i] - fraction[i - 1]))[:, None]
    walked = corners[i - 1] + part * (corners[i] - corners[i - 1])
    torch.testing.assert_close(places, walked, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("limit", "step"), [(0.9, 1), (0.9, 80), (0.9, 81), (0.5, 8), (0.0, 3)])
def test_the_decay_is_warmed_up_to_its_limit(limit: float, step: int):
    assert warmed_up(limit)(step) == min(limit, (1 + step) / (10 + step))


def test_the_limits_of_the_decay():
    assert warmed_up(0.9999999)(10**9) == 0.9999999
    for limit in (1.0, -1e-9, 1.5):
        with pytest.raises(ValueError, match=r"ema decay must lie in \[0, 1\)"):
            warmed_up(limit)


def test_an_average_is_no_part_of_training():
    average = dd.EMA(nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert average.decay(10**6) == 0.999


def test_rows_gathered_beside_an_accelerator_are_those_of_the_host():
    t = torch.tensor([1.0, 2.0, 0.5, 1.25, 1.0], dtype=torch.float64)
    alpha, sigma = WIDE.at(t, X.double())
    host = torch.stack(MODEL._rows(t, X.double())).flatten(1)
    torch.testing.assert_close(MODEL._gathered(t, alpha, sigma), host[2:], rtol=1e-12, atol=0)


def test_the_precision_of_a_run_is_that_of_its_products():
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        with losses.autocast(name, torch.device("cpu")):
            assert (X.T @ X).dtype == dtype


def test_times_and_ratios_are_looked_up_in_double_precision():
    for given in (torch.tensor([0.3]), torch.tensor([0.3], requires_grad=True)):
        alpha, _ = WIDE(given)
        time = WIDE.time(given)
        assert alpha.dtype == time.dtype == torch.float64
        assert not time.requires_grad
        exact = WIDE.time(given.detach().double())
        assert torch.equal(time, exact)


def test_schedules_by_name_are_those_of_their_betas_in_a_hundred_steps():
    ours = {cosine: dd.cosine_beta_schedule, linear: dd.linear_beta_schedule}
    for named, betas in ours.items():
        same = dd.Schedule.from_betas(betas(100))
        assert torch.equal(named().alpha, same.alpha)
    given = linear(timesteps=60, beta_start=1e-3, beta_end=0.03)
    same = dd.Schedule.from_betas(dd.linear_beta_schedule(60, 1e-3, 0.03))
    assert torch.equal(given.sigma, same.sigma)
    given = cosine(timesteps=60, s=0.02, max_beta=0.99)
    same = dd.Schedule.from_betas(dd.cosine_beta_schedule(60, 0.02, 0.99))
    assert torch.equal(given.sigma, same.sigma)


@pytest.mark.filterwarnings("ignore:this schedule does not reach noise")
def test_log_normal_times_are_of_the_paper_and_of_the_generator_alone():
    schedule = edm_schedule()
    torch.manual_seed(1)
    one = log_normal_times(schedule, 50, dd.stream(0, "t"))
    torch.manual_seed(2)
    two = log_normal_times(schedule, 50, dd.stream(0, "t"), mean=-1.2, std=1.2)
    assert torch.equal(one, two)
    assert not torch.equal(one, log_normal_times(schedule, 50, dd.stream(0, "t"), std=1.3))


def test_a_seed_of_chance_has_31_bits():
    torch.manual_seed(0)
    drawn = torch.tensor([base_seed(None) for _ in range(400)])
    assert drawn.max() > 2**31 * 0.95
    assert drawn.max() < 2**31
    assert (drawn.double().mean() / 2**30 - 1).abs() < 0.15


def test_a_walk_up_may_begin_just_above_the_data():
    for sampler in (dd.ddim, dd.heun):
        steps = list(sampler(lambda x, t: x * 0, WIDE, X, [0.25, 1, 2]))
        assert [s.t for s in steps] == [1, 2]


def test_every_value_is_frozen_and_is_itself():
    stats = dd.FeatureStatistics.from_features(X)
    values = [
        WIDE,
        stats,
        FrechetEstimate(1.0, 0.1),
        Memorisation(X, X, X),
        dd.ClassifierFreeGuidance(lambda *a: a[0], torch.zeros(5, dtype=torch.int64)),
        dd.DiffusionLoss(),
        SPIRAL,
        Arc(torch.sin, 0.0, 1.0),
        judge.Judge(dd.LeNet5(), (1, 28, 28)),
        judge._SMALL,
    ]
    for value in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)
    for value in (WIDE, stats, values[3], values[8]):
        assert value == value
        assert value != dataclasses.replace(value)


@pytest.mark.parametrize("side", [28, 8])
def test_a_judge_is_trained_as_published(side: int, monkeypatch, tmp_path):
    taken = {}

    def train(model, loss, data, optimizer, **options):
        taken.update(options, rate=optimizer.param_groups[0]["lr"])
        return iter(())

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(judge, "train", train)
    images, classes = torch.zeros(640, 1, side, side), torch.zeros(640, dtype=torch.int64)
    judge.judge(images, classes, 2, images[:2], classes[:2], fingerprint="x", seed=3)
    lenet = side == 28
    steps = 200 if lenet else 600
    assert (taken["batch_size"], taken["steps"]) == ((32, 200) if lenet else (64, 600))
    assert taken["seed"] == 3
    for step in (1, 2, steps):
        expected = 1e-3 if lenet else 2e-3 * (steps + 1 - step) / steps
        assert taken["learning_rate"](step) == pytest.approx(expected, rel=1e-12)


def test_a_batch_of_one_row_is_a_row_and_batches_may_end_with_one():
    seen = []

    def loss(model, batch, generator):
        seen.extend(batch[0][:, 0].tolist())
        return model(batch[0]).mean()

    rows = torch.arange(5.0)[:, None]
    for size in (1, 3):  # the second batch of 3 ends with the first row of another epoch
        seen.clear()
        net = nn.Linear(1, 1)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        list(dd.train(net, loss, (rows,), sgd, steps=5, batch_size=size, seed=0))
        assert len(seen) == 5 * size
        assert sorted(seen[:5]) == rows[:, 0].tolist()


def test_statistics_are_kept_in_double_precision():
    given = dd.FeatureStatistics(5, X[0].clone().requires_grad_(), torch.eye(3))
    assert given.mean.dtype == given.scatter.dtype == torch.float64
    assert not given.mean.requires_grad


@pytest.mark.filterwarnings("ignore:this schedule does not reach noise")
def test_edm_is_that_of_the_paper_without_options():
    one, sigma = torch.ones(1, dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64)
    skip, out = edm_prediction().coefficients(one, sigma)
    assert skip.item() == pytest.approx(0.25 / (0.49 + 0.25), rel=1e-14)
    assert out.item() == pytest.approx(0.7 * 0.5 / (0.49 + 0.25) ** 0.5, rel=1e-14)
    low = log_normal_times(edm_schedule(), 200, dd.stream(0, "t"), mean=-6.2, std=0.1)
    assert 1 <= low.min() < 1.2


def test_only_a_diffusion_model_starts():
    with pytest.raises(TypeError, match="d must be a GaussianDiffusion, got Linear"):
        start(nn.Linear(2, 2), 3, 0)


def test_the_last_log_snr_of_a_schedule_is_found_whatever_it_was_rounded_to():
    schedule = cosine(timesteps=50)
    last = schedule.log_snr[-1]
    for near in (last, last - 1e-13, last * (1 + 1e-14)):
        assert float(schedule.time(near)) <= 50
        assert float(schedule.time(near)) == pytest.approx(50, abs=1e-9)


def test_two_samples_have_a_covariance():
    found = dd.FeatureStatistics.from_features(torch.tensor([[0.0, 2.0], [2.0, -2.0]]))
    assert found.covariance.tolist() == [[2.0, -4.0], [-4.0, 8.0]]


def test_defaults_are_those_that_are_told():
    log_snr = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    assert torch.equal(edm_weight(log_snr), edm_weight(log_snr, sigma_data=0.5))
    drawn = [torch.rand(3, generator=dd.stream(4, "x", *index)) for index in ((), (0,), (1,))]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    a, b = torch.randn(2, 40, 3, generator=dd.stream(0, "laws"))
    assert dd.density_coverage(a, b) == dd.density_coverage(a, b, k=5)
    assert dd.density_coverage(a, b) != dd.density_coverage(a, b, k=6)


@pytest.mark.parametrize("value", [1e71, -1e71])
def test_features_whose_fourth_powers_overflow_are_refused(value):
    with pytest.raises(ValueError, match="features must hold numbers of at most 1e"):
        dd.FeatureStatistics.from_features(torch.tensor([[0.0], [value]], dtype=torch.float64))


def test_estimates_are_of_numbers_alone():
    with pytest.raises(TypeError, match="x must hold numbers"):
        MODEL.denoise(torch.ones(2, 3, dtype=torch.bool), torch.tensor([1.0, 2.0]))
