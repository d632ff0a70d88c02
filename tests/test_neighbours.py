import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from denoising_diffusion.data import rows as data_rows
from denoising_diffusion.data.rows import in_memory
from denoising_diffusion.kinds.image_distances import Compared
from denoising_diffusion.kinds.image_scores import _neighbour_scores
from denoising_diffusion.metrics import RandomConvolutions, neighbours
from denoising_diffusion.metrics.neighbours import (
    Memorisation,
    density_coverage,
    memorisation,
    nearest,
    precision_recall,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def radii(rows, k):
    """The k-th smallest of the distances to the other rows: column 0 is the row itself."""
    return np.sort(cdist(rows, rows), axis=1)[:, k]


def by_definition(features, reference, k):
    """Precision, recall, density and coverage, written down as the papers define them."""
    x, y = features.numpy().astype(float), reference.numpy().astype(float)
    away = cdist(x, y)
    in_reference = away <= radii(y, k)[None, :]
    in_features = away <= radii(x, k)[:, None]
    return (
        in_reference.any(1).mean(),
        in_features.any(0).mean(),
        in_reference.sum() / (k * len(x)),
        in_reference.any(0).mean(),
    )


def all_four(features, reference, k):
    return (*precision_recall(features, reference, k), *density_coverage(features, reference, k))


# Nearest rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (50, 80, 3), (40, 60, 84), (30, 45, 784)])
def test_nearest_is_that_of_all_pairs(n, m, d, dtype):
    x, y = normal(n, d).to(dtype), normal(m, d, seed=1).to(dtype)
    distances, indices = nearest(x, y)
    away = cdist(x.double(), y.double())
    assert distances.dtype == torch.float64 and indices.dtype == torch.int64
    assert indices.tolist() == away.argmin(1).tolist()
    assert distances.numpy() == pytest.approx(away.min(1), rel=1e-14)


def test_a_row_is_not_its_own_neighbour():
    x = normal(60, 5)
    away = cdist(x, x)
    np.fill_diagonal(away, np.inf)
    distances, indices = nearest(x, x, exclude_self=True)
    assert indices.tolist() == away.argmin(1).tolist()
    assert distances.numpy() == pytest.approx(away.min(1), rel=1e-14)
    assert nearest(x, x)[0].tolist() == [0] * 60


@given(st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_chunks_do_not_show(chunk):
    x, y = normal(23, 4), normal(17, 4, seed=1)
    whole, scores = nearest(x, y), all_four(x, y, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CHUNK", chunk)
        parts = nearest(x, y)
        assert torch.equal(parts[0], whole[0]) and torch.equal(parts[1], whole[1])
        assert all_four(x, y, 2) == scores


@pytest.mark.parametrize("offset", [0, 1e4, 1e8])
def test_small_distances_far_from_the_origin_are_exact(offset):
    y = normal(200, 84) + offset
    step = 2.0**-20
    x = y.clone()
    x[:, 3] += step
    exact = (x - y).norm(dim=1)
    distances, indices = nearest(x, y)
    assert indices.tolist() == list(range(200))
    assert torch.equal(distances, exact)


def test_gaps_below_the_rounding_of_float32_products_are_seen():
    # Squared distances of 1 and 1 + 1e-6 beside squared norms of 900.
    y = torch.tensor([[30.0, 1e-3], [30.0, 0.0], [-60.0, 0.0]])
    x = torch.tensor([[31.0, 0.0], [31.0, 1e-3]])
    squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
    assert squares.argmin(1).tolist() != [1, 0]
    assert nearest(x, y)[1].tolist() == [1, 0]


def test_whole_numbers_are_rows_too():
    y = torch.randint(0, 256, (50, 9), generator=torch.Generator().manual_seed(0))
    distances, indices = nearest(y.byte()[[4, 7]], y)
    assert distances.tolist() == [0, 0] and torch.equal(y[indices], y[[4, 7]])


# Precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d", "shift"), [(60, 90, 2, 0.0), (70, 50, 5, 1.0)])
def test_the_definition(n, m, d, shift, k):
    x, y = normal(n, d) + shift, normal(m, d, seed=1)
    assert all_four(x, y, k) == pytest.approx(by_definition(x, y, k), abs=1e-14)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_definition_on_a_lattice_full_of_ties(k):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 5, (80, 2), generator=generator).double()
    y = torch.randint(1, 7, (60, 2), generator=generator).double()
    assert all_four(x, y, k) == pytest.approx(by_definition(x, y, k), abs=1e-14)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_order_motion_and_scale_do_not_matter(seed):
    x, y = normal(30, 3, seed=seed) + 0.3, normal(40, 3, seed=seed + 1)
    expected = all_four(x, y, 3)
    shuffled = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    turn, _ = torch.linalg.qr(normal(3, 3, seed=seed + 2))
    assert all_four(x[shuffled], y.flip(0), 3) == expected
    assert all_four(x @ turn * 7 + 100, y @ turn * 7 + 100, 3) == pytest.approx(expected)


def test_precision_and_recall_change_places():
    x, y = normal(50, 3) * 0.5, normal(70, 3, seed=1)
    there, back = precision_recall(x, y), precision_recall(y, x)
    assert (there.precision, there.recall) == (back.recall, back.precision)


@pytest.mark.parametrize("repeats", [1, 6])
def test_a_set_against_itself(repeats):
    x = normal(80, 6).repeat(repeats, 1)
    precision, recall, density, coverage = all_four(x, x, 3)
    assert (precision, recall, coverage) == (1, 1, 1)
    # Every closed ball holds its centre and k neighbours; or, of radius 0, all repeats.
    assert density == pytest.approx((3 + 1 if repeats == 1 else repeats) / 3)


def test_one_point_over_and_over():
    x = torch.full((6, 3), 0.1)
    assert all_four(x, x, 2) == (1, 1, 3, 1)


def test_sets_far_apart():
    assert all_four(normal(50, 4), normal(50, 4, seed=1) + 100, 3) == (0, 0, 0, 0)


def test_collapse_is_precise_and_nothing_else():
    reference = normal(400, 4)
    collapsed = reference[:1] + 1e-6 * normal(400, 4, seed=1)
    precision, recall, _, coverage = all_four(collapsed, reference, 3)
    assert precision == 1 and recall <= 1 / 400 and coverage < 0.05


def test_a_dropped_mode_costs_its_share():
    kept, dropped = normal(210, 3), normal(90, 3, seed=1) + 50
    reference = torch.cat([kept, dropped])
    precision, recall, _, coverage = all_four(kept, reference, 3)
    assert (precision, recall, coverage) == (1, pytest.approx(0.7), pytest.approx(0.7))
    fresh = normal(210, 3, seed=2)
    of_kept = by_definition(fresh, kept, 3)
    precision, recall, _, coverage = all_four(fresh, reference, 3)
    assert precision == pytest.approx(of_kept[0])
    assert recall == pytest.approx(0.7 * of_kept[1]) and recall < 0.7
    assert coverage == pytest.approx(0.7 * of_kept[3]) and coverage < 0.7


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 3), (40, 80, 5), (90, 30, 2)])
def test_two_sets_of_one_law_have_the_expected_density_and_coverage(n, m, k):
    # Naeem et al. 2020, lemmas 1 and 2: means over many draws, within four standard errors.
    scores = np.array(
        [
            density_coverage(normal(n, 4, seed=2 * i), normal(m, 4, seed=2 * i + 1), k)
            for i in range(300)
        ]
    )
    expected = 1 - math.prod((m - i) / (n + m - i) for i in range(1, k + 1))
    error = scores.std(0, ddof=1) / math.sqrt(len(scores))
    assert abs(scores[:, 0].mean() - 1) < 4 * error[0]
    assert abs(scores[:, 1].mean() - expected) < 4 * error[1]
    assert error.max() < 0.02


# Memorisation


def test_copies_have_ratio_zero():
    train, held_out = normal(100, 84), normal(50, 84, seed=1)
    rows = torch.tensor([7, 7, 99, 0])
    found = memorisation(train[rows], train, held_out)
    assert torch.equal(found.indices, rows)
    assert found.sample_distances.tolist() == [0] * 4 and found.ratio == 0
    assert found.held_out_distances.numpy() == pytest.approx(cdist(held_out, train).min(1))


def test_the_ratio_is_that_of_the_medians():
    found = Memorisation(
        torch.tensor([1.0, 2, 3, 100]).double(),
        torch.zeros(4, dtype=torch.int64),
        torch.tensor([10.0, 5, 0]).double(),
    )
    assert found.ratio == 0.5


def test_fresh_draws_have_a_ratio_near_one():
    # Samples and held-out rows are exchangeable, so the log of the ratio has mean 0.
    logs = []
    for i in range(200):
        fresh = normal(60, 6, seed=3 * i), normal(200, 6, seed=3 * i + 1)
        logs.append(math.log(memorisation(*fresh, normal(60, 6, seed=3 * i + 2)).ratio))
    assert abs(np.mean(logs)) < 4 * np.std(logs, ddof=1) / math.sqrt(200)
    assert np.std(logs) < 0.1


def test_noisy_copies_have_the_ratio_of_their_noise():
    train = normal(300, 20)
    noisy = train[:100] + 0.1 * normal(100, 20, seed=1)
    ratio = memorisation(noisy, train, normal(100, 20, seed=2)).ratio
    # The copies lie about 0.1 sqrt(20) from their originals, and far from all other rows.
    away = cdist(normal(100, 20, seed=2), train).min(1)
    assert ratio == pytest.approx(0.1 * math.sqrt(20) / np.median(away), rel=0.05)


def test_images_are_compared_as_vectors():
    images = normal(30, 1, 4, 4)
    found = memorisation(images[:5] + 0.01, images[:20], images[20:])
    flat = memorisation(
        images[:5].flatten(1) + 0.01, images[:20].flatten(1), images[20:].flatten(1)
    )
    assert torch.equal(found.sample_distances, flat.sample_distances)
    assert found.indices.tolist() == [0, 1, 2, 3, 4]


class Counted:
    """Rows that know how many of them were asked for at a time."""

    def __init__(self, x):
        self.x, self.most = x, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        self.most = max(self.most, len(rows))
        return (self.x[rows],)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2,)])
def test_rows_read_in_blocks_give_the_answer_of_the_whole(monkeypatch, shape):
    train, samples, unseen = (normal(n, *shape, seed=n) for n in (1234, 40, 30))
    samples[3] = train[1100]
    whole = memorisation(samples, train, unseen)
    monkeypatch.setattr(data_rows, "_ROUND", 10)
    monkeypatch.setattr(data_rows, "_BLOCK", 100 * train[0].numel())
    assert [len(x) for (x,) in data_rows.blocks(Counted(train))] == [100] * 12 + [34]
    rows = Counted(train)
    found = memorisation(samples, rows, unseen)
    assert rows.most == 100
    assert torch.equal(found.sample_distances, whole.sample_distances)
    assert torch.equal(found.indices, whole.indices)
    assert torch.equal(found.held_out_distances, whole.held_out_distances)
    assert (found.sample_distances[3], found.indices[3]) == (0, 1100)
    # Of two that are as near, the first counts, wherever a block ends.
    twice = memorisation(
        samples[3:4], Counted(train[1100:1101].repeat(250, *[1] * len(shape))), unseen
    )
    assert twice.indices.tolist() == [0]
    with pytest.raises(ValueError, match="train has no rows"):
        memorisation(samples, Counted(train[:0]), unseen)


def test_scores_of_images_read_no_more_than_a_block_at_a_time(monkeypatch):
    x, n = normal(2600, 1, 8, 8).float().clamp(-1, 1), 40
    train = Counted(x[:2500])
    data = in_memory("x", "images", (x[:2500],), (x[2500:],))
    features = RandomConvolutions.of(1).features
    compared = Compared(x[2500 : 2500 + n], x[:n], x[2500:], x[:n])
    whole = _neighbour_scores(features, data, compared)
    monkeypatch.setattr(data_rows, "_BLOCK", 1500 * 64)
    data = dataclasses.replace(data, train=train)
    found = _neighbour_scores(features, data, compared)
    assert train.most == 1000
    assert found.scores == whole.scores
    assert (
        found.pictures["nearest"].image().tobytes() == whole.pictures["nearest"].image().tobytes()
    )


def test_held_out_copies_leave_no_scale():
    x = normal(10, 3)
    assert math.isnan(memorisation(x + 1, x, x).ratio)


# Complaints


def test_neighbours_complain_about_rows():
    x = normal(5, 3)
    with pytest.raises(ValueError, match=r"reference must have shape \(n, 3\), got \(5, 2\)"):
        nearest(x, normal(5, 2))
    with pytest.raises(ValueError, match="reference has no rows"):
        nearest(x, x[:0])
    with pytest.raises(ValueError, match="features has no rows"):
        precision_recall(x[:0], x)
    with pytest.raises(ValueError, match="x holds values that are not finite"):
        nearest(x / 0, x)
    with pytest.raises(ValueError, match=r"exclude_self takes x .* \(4, 3\) and \(5, 3\)"):
        nearest(x[:4], x, exclude_self=True)
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        nearest(x[:1], x[:1], exclude_self=True)
    with pytest.raises(ValueError, match=r"held_out must have shape \(n, 3\), got \(5, 2\)"):
        memorisation(x, x, normal(5, 2))
    with pytest.raises(ValueError, match="held_out has no rows"):
        memorisation(x, x, x[:0])
    with pytest.raises(ValueError, match=r"samples must have shape \(n, d, ...\), got \(5,\)"):
        memorisation(x[:, 0], x[:, 0], x[:, 0])


def test_neighbours_complain_about_k():
    x, y = normal(4, 3), normal(9, 3, seed=1)
    for k in (0, 4):
        with pytest.raises(ValueError, match=rf"k must lie in 1..3, .* got {k}"):
            precision_recall(x, y, k)
    with pytest.raises(ValueError, match=r"k must lie in 1..8, .* got 9"):
        density_coverage(x, y, 9)
    assert density_coverage(x, y, 8).coverage <= 1
