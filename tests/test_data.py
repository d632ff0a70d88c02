import math

import numpy as np
import pytest
import torch

from denoising_diffusion import seeds
from denoising_diffusion.data.curves import CURVES, MOONS, S_CURVE, SPIRAL
from denoising_diffusion.data.dataset import load_dataset
from denoising_diffusion.data.digits import load_digits_images
from denoising_diffusion.data.points import make_patterns, make_spiral, read_points
from denoising_diffusion.data.split import split_validation
from denoising_diffusion.metrics.points import curve_distances


def write(path, text):
    path.write_text(text)
    return path


# Curves


@pytest.mark.parametrize("name", CURVES)
def test_the_ideal_curve_spans_minus_one_to_one(name):
    ideal, fraction = CURVES[name].polyline()
    sides = ideal.amax(0) - ideal.amin(0)
    assert float(sides.max()) == pytest.approx(2, abs=0.01)
    longer = ideal[:, sides.argmax()]
    assert float(longer.min()) == pytest.approx(-1, abs=0.01)
    assert float(longer.max()) == pytest.approx(1, abs=0.01)
    assert fraction[0] == 0 and fraction[-1] == 1 and (fraction.diff() >= 0).all()


@pytest.mark.parametrize("name", CURVES)
def test_samples_lie_on_the_curve(name):
    points = CURVES[name].sample(501, seeds.stream(0, "test"))
    assert points.shape == (501, 2) and points.dtype == torch.float32
    distances, _ = curve_distances(points, CURVES[name].polyline())
    assert distances.max() < 1e-5


def test_the_law_along_the_spiral_is_that_of_its_closed_form_arc_length():
    def length(t):
        return 0.5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t))

    t = np.linspace(1.5 * math.pi, 4.5 * math.pi, 1_000_001)
    fraction = (length(t) - length(t[0])) / (length(t[-1]) - length(t[0]))
    edges = np.interp(np.linspace(0, 1, 51), fraction, t)
    expected = np.diff(edges) / (3 * math.pi)
    assert SPIRAL.arc_bin_probabilities(50).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("curve", [S_CURVE, MOONS])
def test_circles_have_constant_density(curve):
    assert curve.arc_bin_probabilities(50).numpy() == pytest.approx(np.full(50, 0.02), abs=1e-9)


def test_the_moons_get_half_of_the_points_each_in_random_order():
    _, fraction = curve_distances(MOONS.sample(1001, seeds.stream(1, "x")), MOONS.polyline())
    upper = fraction < 0.5
    assert abs(int(upper.sum()) - 500) <= 1
    assert 0.3 < upper[:200].float().mean() < 0.7


def test_the_global_generator_draws_when_none_is_given():
    torch.manual_seed(3)
    first = make_spiral(20)
    torch.manual_seed(3)
    assert torch.equal(first, make_spiral(20))
    assert not torch.equal(first, make_spiral(20))


def test_patterns_come_with_their_classes_in_turn():
    points, labels = make_patterns(40, seeds.stream(0, "p"))
    assert points.shape == (120, 2) and labels.dtype == torch.int64
    assert labels[:4].tolist() == [0, 1, 2, 0]
    for k, curve in enumerate((SPIRAL, S_CURVE, MOONS)):
        assert curve_distances(points[labels == k], curve.polyline())[0].max() < 1e-5


# Files of points


def rows(n=12):
    return "".join(f"{i},{i * i / 7}\n" for i in range(n))


def test_read_points_from_csv_with_and_without_header(tmp_path):
    plain = read_points(write(tmp_path / "a.csv", rows()))
    named = read_points(write(tmp_path / "b.CSV", "x,y\n" + rows() + "\n"))
    assert plain.shape == (12, 2) and plain.dtype == torch.float32
    assert torch.equal(plain, named)
    assert plain[3].tolist() == pytest.approx([3, 9 / 7])
    assert read_points(write(tmp_path / "c.csv", "\n".join("1" * 12))).shape == (12, 1)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8"])
def test_read_points_from_npy(tmp_path, dtype):
    array = np.arange(30).reshape(10, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    assert torch.equal(read_points(tmp_path / "a.npy"), torch.arange(30.0).view(10, 3))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", rows(), r"a\.txt: unknown suffix '\.txt'"),
        ("a.csv", rows(9), r"a\.csv: expected at least 10 rows, got 9"),
        ("a.csv", "", r"a\.csv: expected at least 10 rows, got 0"),
        ("a.csv", "x,y\n", r"a\.csv: expected at least 10 rows, got 0"),
        ("a.csv", rows() + "1\n", r"a\.csv: ragged, line 13 has 1 columns, not 2"),
        ("a.csv", rows() + "1,b\n", r"a\.csv: not numeric, line 13 holds 'b'"),
        ("a.csv", rows() + "1,\n", r"a\.csv: not numeric, line 13 holds ''"),
        ("a.csv", "x,y\n" + rows() + "nan,1\n", r"a\.csv: row 13 holds a number that is not fin"),
        ("a.csv", "-inf,2\n" + rows(), r"a\.csv: row 1 holds a number that is not finite"),
        ("a.csv", "1e60,2\n" + rows(), r"a\.csv: row 1 holds a number that is not finite"),
        ("a.npy", "no array", r"a\.npy: not numeric, no \.npy data"),
        ("a.npy", "", r"a\.npy: not numeric, no \.npy data"),
    ],
)
def test_read_points_names_the_file_and_the_reason(tmp_path, name, text, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_points(write(tmp_path / name, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(20), r"expected an array of shape \(n, d\), got \(20,\)"),
        (np.zeros((20, 2, 2)), r"expected an array of shape \(n, d\)"),
        (np.zeros((20, 0)), "the rows are empty"),
        (np.zeros((3, 2)), "at least 10 rows, got 3"),
        (np.full((20, 2), "1"), "not numeric, its type is <U1"),
        (np.zeros((20, 2), complex), "not numeric, its type is complex128"),
        (np.array([[{}]] * 20, object), "not numeric, it holds Python objects"),
        (np.array([[0.0, 1.0]] * 15 + [[np.nan, 0]] * 5), "row 16 holds a number that is not"),
    ],
)
def test_read_points_refuses_these_arrays(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"a\.npy: .*{reason}"):
        read_points(tmp_path / "a.npy")


def test_read_points_refuses_binary_text_and_missing_files(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"a\.csv: not numeric, no text"):
        read_points(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"b\.csv: no such file"):
        read_points(tmp_path / "b.csv")


# Digits and splits


def test_digits_are_real_and_scaled():
    images, labels = load_digits_images()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal((images + 1) * 8, ((images + 1) * 8).round())
    assert labels.dtype == torch.int64 and labels.unique().tolist() == list(range(10))
    assert len(images.unique(dim=0)) > 1790


@pytest.mark.parametrize(
    ("num", "fraction", "held_out"),
    [(1797, 0.5, 898), (100, 0.29, 29), (10, 0.1, 1), (7, 0.0, 0), (7, 1.0, 7), (0, 0.5, 0)],
)
def test_splits_are_disjoint_and_complete(num, fraction, held_out):
    train, validation = split_validation(num, fraction, 5)
    assert len(validation) == held_out
    assert sorted(train.tolist() + validation.tolist()) == list(range(num))
    assert torch.equal(train, split_validation(num, fraction, 5)[0])


def test_splits_depend_on_the_seed_and_check_their_arguments():
    assert not torch.equal(split_validation(50, 0.5, 0)[1], split_validation(50, 0.5, 1)[1])
    with pytest.raises(ValueError, match="fraction must lie"):
        split_validation(5, 1.5, 0)
    with pytest.raises(ValueError, match="num must be"):
        split_validation(-1, 0.5, 0)


# Data sets


def test_digits_are_split_in_half_with_labels():
    data = load_dataset("digits", None, seed=0, size=1)
    images, labels = load_digits_images()
    assert (len(data.train), len(data.validation), data.shape) == (899, 898, (1, 8, 8))
    train, held_out = split_validation(1797, 0.5, 0)
    assert torch.equal(data.train, images[train])
    assert torch.equal(data.validation, images[held_out])
    assert data.train_labels is not None and data.validation_labels is not None
    assert torch.equal(data.train_labels, labels[train])
    assert torch.equal(data.validation_labels, labels[held_out])
    assert data.class_names == tuple("0123456789") and data.clip == (-1, 1)
    assert torch.equal(data.to_data(data.train), data.train)
    assert data.fingerprint == load_dataset("digits", None, seed=9, size=1).fingerprint


def test_drawn_sets_have_the_size_asked_for_and_a_stream_for_each_part():
    data = load_dataset("spiral", None, seed=0, size=300)
    assert (data.train.shape, data.validation.shape) == ((300, 2), (30, 2))
    assert data.train_labels is None and data.class_names == ()
    assert torch.cdist(data.validation, data.train).min() > 0
    longer = load_dataset("spiral", None, seed=0, size=309)
    assert torch.equal(longer.validation, data.validation)
    assert len(data.fingerprint) == 64 and data.fingerprint != longer.fingerprint


def test_patterns_are_balanced():
    data = load_dataset("patterns", None, seed=0, size=301)
    assert data.train_labels is not None and data.validation_labels is not None
    assert data.train_labels.bincount().tolist() == [101, 100, 100]
    assert data.validation_labels.bincount().tolist() == [10, 10, 10]
    assert data.class_names == ("spiral", "s-curve", "moons")


def test_points_are_standardised_by_the_training_part_and_back(tmp_path):
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(200, 3, generator=generator) * torch.tensor([1.0, 50.0, 0.01]) + 7
    np.save(tmp_path / "a.npy", raw.numpy())
    data = load_dataset("points", tmp_path / "a.npy", seed=4, size=1)
    train, held_out = split_validation(200, 0.1, 4)
    assert (len(data.train), len(data.validation)) == (180, 20)
    assert data.train.mean(0).abs().max() < 1e-5
    assert data.train.std(0, correction=0).numpy() == pytest.approx(np.ones(3), abs=1e-5)
    assert torch.allclose(data.to_data(data.train), raw[train], rtol=1e-5)
    assert torch.allclose(data.to_data(data.validation), raw[held_out], rtol=1e-5)
    assert data.clip == (float(data.train.min()), float(data.train.max()))


def test_a_constant_column_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "".join(f"{i},0.1\n" for i in range(20)))
    with pytest.raises(ValueError, match=r"a\.csv: column 2 is constant"):
        load_dataset("points", path, seed=0, size=1)


@pytest.mark.parametrize(
    ("name", "path", "size", "reason"),
    [
        ("cats", None, 100, "unknown data set 'cats', expected one of: digits, spiral"),
        ("points", None, 100, "'points' needs the path"),
        ("digits", "a.csv", 100, r"'digits' takes no path, got 'a\.csv'"),
        ("spiral", None, 9, "size must be >= 10, got 9"),
    ],
)
def test_load_dataset_explains_what_is_wrong(name, path, size, reason):
    with pytest.raises(ValueError, match=reason):
        load_dataset(name, path, seed=0, size=size)
