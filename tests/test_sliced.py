import math

import pytest
import torch
from scipy.stats import wasserstein_distance

from denoising_diffusion.kinds.point_scores import cloud_scores
from denoising_diffusion.metrics import directions, nearest, sliced_wasserstein, wasserstein
from denoising_diffusion.metrics.neighbours import _nearest


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gaussian_grid(n: int) -> torch.Tensor:
    """The n quantiles of N(0, 1) at the middles of n equal shares, (n, 1)."""
    level = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return math.sqrt(2) * torch.erfinv(2 * level - 1)[:, None]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (30, 30), (48, 60), (101, 64)])
def test_a_column_at_a_time_is_scipys_distance(n, m):
    x, y = normal(n, 3), 2 * normal(m, 3, seed=1) + 1
    x[n // 2 :, 0] = x[0, 0]  # ties, within one set and between both
    y[m // 2 :, 0] = x[0, 0]
    expected = [wasserstein_distance(x[:, i].numpy(), y[:, i].numpy()) for i in range(3)]
    assert wasserstein(x, y).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (1.5, 1.0), (0.0, 2.0), (0.7, 0.4), (-1.0, 3.0)])
def test_the_distance_of_two_gaussians_is_the_mean_of_a_folded_one(m, s):
    # The quantiles of N(0, 1) and N(m, s²) differ by m + (s - 1) Z.
    spread = abs(s - 1)
    expected = abs(m)
    if spread:
        bell = spread * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * spread**2))
        expected = bell + m * math.erf(m / (spread * math.sqrt(2)))
    x = gaussian_grid(20_000)
    assert float(wasserstein(x, m + s * x)) == pytest.approx(expected, abs=2e-4)
    assert sliced_wasserstein(x, m + s * x).distance == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("d", [2, 3, 5, 40])
def test_a_moved_cloud_is_as_far_as_its_shift_looks_along_every_line(d):
    x, shift = normal(200, d), normal(d, seed=2)
    lines = directions(d)
    found = sliced_wasserstein(x, x + shift)
    assert found.distance == pytest.approx(float((lines @ shift).abs().mean()), rel=1e-12)
    # Over all directions it is |shift| times the mean of |cos|.
    mean = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    assert found.distance == pytest.approx(float(shift.norm()) * mean, rel=0.1)


def test_clouds_far_apart_have_the_interval_of_the_difference_of_two_means():
    x, y = normal(80, 1), 3 * normal(50, 1, seed=1) + 100
    variance = float(x.var(correction=0)) / 80 + float(y.var(correction=0)) / 50
    found = sliced_wasserstein(x, y)
    assert found.distance == pytest.approx(float(y.mean() - x.mean()), rel=1e-12)
    assert found.interval == pytest.approx(1.96 * math.sqrt(variance), rel=1e-9)
    assert sliced_wasserstein(y, x) == pytest.approx(found)


def test_the_interval_holds_the_spread_of_repeated_draws():
    found = [
        sliced_wasserstein(1.3 * normal(150, 2, seed=i) + 0.5, normal(100, 2, seed=1000 + i))
        for i in range(150)
    ]
    spread = torch.tensor([f.distance for f in found]).std()
    mean = torch.tensor([f.interval for f in found]).mean()
    assert float(mean / (1.96 * spread)) == pytest.approx(1, abs=0.2)


def test_lines_are_whole_bases_that_begin_with_the_axes():
    for d, count in ((1, 1), (2, 128), (3, 129), (5, 130), (100, 200), (200, 400)):
        lines = directions(d)
        assert lines.shape == (count, d) and torch.equal(lines[:d], torch.eye(d).double())
        squares = lines.T @ lines * (d / count)
        torch.testing.assert_close(squares, torch.eye(d).double(), rtol=0, atol=1e-12)
    assert torch.equal(directions(3, seed=4), directions(3, seed=4))
    assert not torch.equal(directions(3, seed=4), directions(3, seed=5))


def test_chunks_change_nothing(monkeypatch):
    x, y = normal(40, 3), normal(30, 3, seed=1) + 1
    whole = sliced_wasserstein(x, y)
    monkeypatch.setattr("denoising_diffusion.metrics.sliced._CHUNK", 100)
    assert sliced_wasserstein(x, y) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 8, 9])
def test_the_tree_finds_the_neighbours_that_all_pairs_have(d, monkeypatch):
    monkeypatch.setattr("denoising_diffusion.metrics.neighbours._MANY_PAIRS", 0)
    reference = normal(300, d).float()
    x = torch.cat([normal(50, d, seed=1).float(), reference[:5]])
    found, rows = nearest(x, reference)
    expected, numbers = _nearest(x, reference, 1)
    assert torch.equal(rows, numbers[:, 0])
    torch.testing.assert_close(found, expected[:, 0], rtol=1e-12, atol=0)
    assert found[50:].tolist() == [0.0] * 5


def ring(n: int, seed: int) -> torch.Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=torch.Generator().manual_seed(seed))
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    return ((1 + 0.05 * normal(n, 1, seed=seed)) * circle * math.sqrt(2)).float()


def scores(samples: torch.Tensor) -> dict:
    return {s.key: s for s in cloud_scores(samples, ring(270, 1), ring(300, 2))}


def test_fresh_data_passes():
    found = scores(ring(2000, 3))
    distance = found["sliced_wasserstein"]
    assert distance.value < 2 * distance.beside["floor"] < distance.beside["ceiling"]
    assert 0.9 < found["neighbour_ratio"].value < 1.1
    assert all(v < 0.3 for v in found["marginals"].value)


def test_neither_collapse_nor_memory_passes():
    train = ring(270, 1)
    copied = scores(train)
    assert copied["neighbour_ratio"].value == 0
    assert copied["sliced_wasserstein"].value < 2 * copied["sliced_wasserstein"].beside["floor"]
    one = scores(train[:1].repeat(300, 1))
    distance = one["sliced_wasserstein"]
    assert distance.value > max(5 * distance.beside["floor"], distance.beside["ceiling"])
    assert one["neighbour_ratio"].value == 0
    mean = scores(train.mean(0, keepdim=True) + 1e-3 * normal(300, 2))
    distance = mean["sliced_wasserstein"]
    assert distance.value > distance.beside["ceiling"]
    assert mean["neighbour_ratio"].value > 5
    noise = scores(normal(2000, 2))
    distance = noise["sliced_wasserstein"]
    assert distance.value == pytest.approx(distance.beside["ceiling"], rel=0.2)
    assert noise["neighbour_ratio"].value > 3


def test_marginals_are_in_units_of_the_deviation_of_their_column():
    train, held_out = 10 * normal(500, 2), 10 * normal(500, 2, seed=1)
    found = cloud_scores(held_out + torch.tensor([5.0, 0.0]), train, held_out)[1]
    expected = 5 / float(train[:, 0].std(correction=0))
    assert found.value == pytest.approx([expected, 0], rel=1e-9, abs=1e-12)
