import pytest
import torch

from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule, ddim, ddpm
from denoising_diffusion.sampling import denoiser, p_sample_loop, start
from denoising_diffusion.seeds import SampleNoise, base_seed, stream

SHAPES = [(2,), (3, 5), (1, 20, 20), ()]


@pytest.mark.parametrize("shape", SHAPES)
def test_sample_17_gets_the_same_noise_alone_and_in_a_batch(shape: tuple[int, ...]):
    batch, alone = SampleNoise(5, range(64)), SampleNoise(5, [17])
    some = SampleNoise(5, [40, 17, 3])
    for _ in range(300):
        noise = batch(torch.empty(64, *shape))
        assert torch.equal(noise[17:18], alone(torch.empty(1, *shape)))
        assert torch.equal(noise[[40, 17, 3]], some(torch.empty(3, *shape)))


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_does_not_depend_on_how_often_it_is_drawn(shape: tuple[int, ...]):
    many, few = SampleNoise(1, range(2)), SampleNoise(1, range(2))
    rows = [many(torch.empty(2, *shape)) for _ in range(600)]
    assert all(torch.equal(rows[i], few(torch.empty(2, *shape))) for i in range(3))
    assert len({tuple(row.flatten().tolist()) for row in rows}) == 600


def test_samples_seeds_and_purposes_have_distinct_streams():
    noise = SampleNoise(0, range(2000))(torch.empty(2000, 4))
    assert len(noise.unique(dim=0)) == 2000
    assert not torch.equal(noise, SampleNoise(1, range(2000))(torch.empty(2000, 4)))
    drawn = {
        torch.randn(4, generator=stream(seed, purpose, index)).sum().item()
        for seed in (0, 1, 12)
        for purpose in ("sample", "train")
        for index in (0, 1, 2, 2**32 - 1)
    }
    assert len(drawn) == 24


def test_streams_are_those_of_every_earlier_version():
    assert [stream(0, "sample", i).initial_seed() for i in (0, 1)] == [3326971319, 3326971320]
    assert stream(7, "step", 3).initial_seed() == stream(7, "step", 3).initial_seed()


def test_sample_noise_is_standard_normal():
    noise = SampleNoise(3, range(200))
    values = torch.stack([noise(torch.empty(200, 10)) for _ in range(100)]).double()
    n = values.numel()
    assert abs(values.mean().item()) < 5 / n**0.5
    assert abs(values.var().item() - 1) < 5 * (2 / n) ** 0.5
    assert abs((values[:-1] * values[1:]).mean().item()) < 5 / n**0.5
    assert abs((values[:, :-1] * values[:, 1:]).mean().item()) < 5 / n**0.5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_noise_has_the_dtype_of_its_model_and_the_same_numbers(dtype: torch.dtype):
    noise = SampleNoise(3, range(4))(torch.empty(4, 2, dtype=dtype))
    assert noise.dtype == dtype
    assert torch.equal(noise, SampleNoise(3, range(4))(torch.empty(4, 2)).to(dtype))


def test_sample_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    SampleNoise(3, range(4))(torch.empty(4, 2))
    assert base_seed(9) == 9
    assert torch.equal(before, torch.get_rng_state())


def test_no_samples_get_no_noise():
    assert SampleNoise(3, [])(torch.empty(0, 2)).shape == (0, 2)


def test_base_seed_follows_manual_seed():
    torch.manual_seed(0)
    one, two = base_seed(None), base_seed(None)
    torch.manual_seed(0)
    assert base_seed(None) == one != two
    assert base_seed(0) == 0
    assert base_seed(123) == 123


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream(-1, "sample"), "seed must be at least 0, got -1"),
        (lambda: stream(0, "sample", -1), "index must lie in 0..4294967295, got -1"),
        (lambda: stream(0, "sample", 2**32), "index must lie in 0..4294967295, got 4294967296"),
        (
            lambda: SampleNoise(0, range(3))(torch.empty(2, 1)),
            r"like must have shape \(3, ...\), got \(2, 1\)",
        ),
    ],
)
def test_errors(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_shape_is_refused():
    noise = SampleNoise(0, range(3))
    noise(torch.empty(3, 2))
    with pytest.raises(ValueError, match=r"like must have shape \(3, 2\), got \(3, 4\)"):
        noise(torch.empty(3, 4))


def network() -> torch.nn.Module:
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)
            )

        def forward(self, x, t):
            return self.layers(torch.cat([x, t[:, None] / 50], 1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


@pytest.mark.parametrize("eta", [0.5, None], ids=["ddim", "ddpm"])
def test_a_stochastic_sampler_makes_sample_17_the_same_alone_and_in_a_batch(eta: float | None):
    d = GaussianDiffusion(cosine_beta_schedule(50), (2,), network(), "x_start")
    estimate = denoiser(d, clip=False)

    def sample(num: int, first: int) -> torch.Tensor:
        x, noise = start(d, num, seed=3, first=first)
        times = range(50, -1, -1)
        if eta is None:
            *_, step = ddpm(estimate, d.schedule, x, times, randn_like=noise)
        else:
            *_, step = ddim(estimate, d.schedule, x, times, eta=eta, randn_like=noise)
        return step.x

    batch = sample(64, 0)
    torch.testing.assert_close(sample(1, 17), batch[17:18], rtol=0, atol=1e-5)
    torch.testing.assert_close(sample(10, 30), batch[30:40], rtol=0, atol=1e-5)
    assert batch.unique(dim=0).shape == batch.shape
    if eta is None:
        torch.testing.assert_close(p_sample_loop(d, 64, seed=3, clip=False), batch, rtol=0, atol=0)
