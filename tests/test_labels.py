import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as by_sklearn

from denoising_diffusion.metrics.labels import (
    class_proportions,
    confusion_matrix,
    proportion_error,
)


def classes(n, c, seed=0):
    return torch.randint(0, c, (n,), generator=torch.Generator().manual_seed(seed))


def test_counts_by_hand():
    asked, read = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0, 0, 2, 0, 2, 1])
    matrix = confusion_matrix(asked, read, 4)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == [[2, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_agrees_with_scikit_learn():
    asked, read = classes(500, 7), classes(500, 7, seed=1)
    expected = by_sklearn(asked, read, labels=range(7))
    assert np.array_equal(confusion_matrix(asked, read, 7), expected)


@given(st.integers(0, 1000), st.integers(1, 8), st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_laws_of_the_matrix(seed, c, n):
    asked, read = classes(n, c, seed), classes(n, c, seed + 1)
    matrix = confusion_matrix(asked, read, c)
    generator = torch.Generator().manual_seed(seed)
    order, names = torch.randperm(n, generator=generator), torch.randperm(c, generator=generator)
    assert torch.equal(confusion_matrix(asked[order], read[order], c), matrix)
    assert torch.equal(confusion_matrix(read, asked, c), matrix.T)
    assert torch.equal(confusion_matrix(names[asked], names[read], c)[names][:, names], matrix)
    assert torch.equal(matrix.sum(1), torch.bincount(asked, minlength=c))
    assert int(matrix.trace()) == int((asked == read).sum()) and int(matrix.sum()) == n


def test_small_integers_do_not_overflow():
    asked = torch.full((5,), 99, dtype=torch.uint8)
    assert confusion_matrix(asked, asked, 100)[99, 99] == 5


def test_proportions_by_hand():
    read = torch.tensor([3, 0, 3, 1])
    assert class_proportions(read, 5).tolist() == [0.25, 0.25, 0, 0.5, 0]
    assert proportion_error(read, torch.tensor([0, 1, 1, 0]), 5) == pytest.approx(
        2 * 0.25**2 + 0.5**2
    )
    assert proportion_error(read, read.flip(0).repeat(3), 5) == 0
    assert proportion_error(torch.zeros(3).int(), torch.ones(9).int(), 2) == 2


@pytest.mark.parametrize(("n", "m"), [(100, 400), (50, 50)])
def test_the_error_of_two_draws_of_one_law_is_the_expected_one(n, m):
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    drawn = [
        torch.multinomial(p, n + m, replacement=True, generator=generator).split([n, m])
        for _ in range(2000)
    ]
    errors = np.array([proportion_error(a, b, 4) for a, b in drawn])
    expected = (1 / n + 1 / m) * (1 - float(p.square().sum()))
    assert abs(errors.mean() - expected) < 4 * errors.std(ddof=1) / np.sqrt(2000)


def test_labels_complain():
    good = torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match=r"read must have shape \(3,\), got \(2,\)"):
        confusion_matrix(good, good[:2], 3)
    with pytest.raises(ValueError, match=r"read must lie in 0..1, got values from 0 to 2"):
        confusion_matrix(good.clamp(max=1), good, 2)
    with pytest.raises(ValueError, match=r"asked must lie in 0..2, got values from -1 to 1"):
        confusion_matrix(good - 1, good, 3)
    with pytest.raises(ValueError, match=r"read must have shape \(n,\), got \(1, 3\)"):
        class_proportions(good[None], 3)
    with pytest.raises(ValueError, match="num_classes must lie in 1..32768, got 0"):
        class_proportions(good, 0)
    with pytest.raises(ValueError, match="read holds no samples"):
        class_proportions(good[:0], 3)
    for bad in (good.double(), good > 0):
        with pytest.raises(TypeError, match="read must hold integers, got torch"):
            proportion_error(bad, good, 3)
