import math

import numpy as np
import pytest
import torch

from denoising_diffusion import GaussianDiffusion, last, p_sample_loop, sample, seeds
from denoising_diffusion.data import (
    Curve,
    Dataset,
    Rows,
    as_rows,
    load_dataset,
    make_moons,
    make_patterns,
    make_s_curve,
    make_spiral,
    read_points,
    split_validation,
    whole,
)
from denoising_diffusion.data.curves import CURVES, MOONS, S_CURVE, SPIRAL, Arc
from denoising_diffusion.data.digits import digits, load_digits_images
from denoising_diffusion.data.patterns import patterns, spiral
from denoising_diffusion.data.rows import first
from denoising_diffusion.kinds.points import Points
from denoising_diffusion.metrics import curve_distances
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.schedule import cosine


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
    assert plain.shape == (12, 2) and plain.dtype == torch.float64
    assert torch.equal(plain, named)
    assert plain[3].tolist() == [3, 9 / 7]
    assert read_points(write(tmp_path / "c.csv", "\n".join("1" * 12))).shape == (12, 1)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8"])
def test_read_points_from_npy(tmp_path, dtype):
    array = np.arange(30).reshape(10, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    expected = torch.arange(30, dtype=torch.float64).view(10, 3)
    assert torch.equal(read_points(tmp_path / "a.npy"), expected)


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
        (
            "a.csv",
            "x,y\n" + rows() + "nan,1\n",
            r"a\.csv: .*line 14 holds 'nan' in column 1 \('x'\)",
        ),
        ("a.csv", "-inf,2\n" + rows(), r"a\.csv: .*line 1 holds '-inf' in column 1.*not finite"),
        ("a.csv", "1e400,2\n" + rows(), r"a\.csv: .*line 1 holds '1e400' in .*not finite"),
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
        (
            np.array([[0.0, 1.0]] * 15 + [[np.nan, 0]] * 5),
            "row 16 holds a number that is not finite in column 1",
        ),
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


# Rows


class Lazy:
    """Squares of the row numbers, decoded when they are asked for."""

    def __init__(self, count, refuse=None):
        self.count, self.refuse, self.asked = count, refuse, []

    def __len__(self):
        return self.count

    def __getitem__(self, rows):
        if self.refuse:
            raise self.refuse
        self.asked += rows.tolist()
        return torch.stack([torch.tensor([float(i) ** 2]) for i in rows.tolist()]), rows + 1


class ByItem:
    """What most data sets of torch are: one example at a time, with its class as an int."""

    def __len__(self):
        return 3

    def __getitem__(self, item):
        return torch.zeros(1, 8, 8), 7


def test_tensors_become_rows_and_rows_stay_what_they_are():
    x, y = torch.arange(6.0).view(3, 2), torch.tensor([1, 2, 1])
    for given in ((x, y), [x, y]):
        rows = as_rows(given)
        assert isinstance(rows, Rows) and isinstance(rows, torch.utils.data.TensorDataset)
        assert len(rows) == 3
        picked = rows[torch.tensor([2, 0])]
        assert torch.equal(picked[0], x[[2, 0]]) and picked[1].tolist() == [1, 1]
        assert all(torch.equal(a, b) for a, b in zip(whole(rows), (x, y), strict=True))
    assert as_rows(rows) is rows


def test_rows_of_ones_own_are_decoded_when_asked_for():
    lazy = Lazy(10**9)
    assert isinstance(lazy, Rows) and as_rows(lazy) is lazy
    assert set(lazy.asked) == {0}
    x, labels = lazy[torch.tensor([3, 5])]
    assert x.tolist() == [[9], [25]] and labels.tolist() == [4, 6]
    assert first(lazy, 3)[0].tolist() == [[0], [1], [4]]
    assert set(lazy.asked) == {0, 1, 2, 3, 5}


def test_first_and_whole_give_the_rows_in_order():
    rows = as_rows((torch.arange(5),))
    assert [first(rows, n)[0].tolist() for n in (0, 2, 9)] == [[], [0, 1], [0, 1, 2, 3, 4]]
    assert whole(rows)[0].tolist() == [0, 1, 2, 3, 4]
    assert whole(torch.utils.data.TensorDataset(torch.zeros(0, 2)))[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ((torch.zeros(3), torch.zeros(4, 2)), r"\[3, 4\]"),
        ((), r"\[\]"),
        ((torch.zeros(0, 2),), r"\[0\]"),
        (torch.utils.data.TensorDataset(torch.zeros(0)), r"\[0\]"),
    ],
)
def test_rows_refuse_nothing_and_unequal_lengths(data, got):
    with pytest.raises(ValueError, match=f"data must hold tensors of one length >= 1, got {got}"):
        as_rows(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        "abc",
        {"x": torch.zeros(3)},
        {},
        range(4),
        torch.zeros(3, 2),
        torch.tensor(1.0),
        np.zeros((3, 2)),
        torch.utils.data.TensorDataset,
        ByItem(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_rows_refuse_what_gives_no_tuples_of_tensors(data):
    for function, name in ((as_rows, "data"), (whole, "rows")):
        with pytest.raises(TypeError, match=f"{name} must be Rows, such as a TensorDataset, got"):
            function(data)
    with pytest.raises(TypeError, match="rows must be Rows"):
        first(data, 1)


def test_rows_refuse_tuples_of_other_things():
    with pytest.raises(TypeError, match=r"data\[1\] must be a tensor, got list \[1, 2\]"):
        as_rows((torch.zeros(2), [1, 2]))
    with pytest.raises(ValueError, match=r"data\[0\] must have shape \(n, ...\), got \(\)"):
        as_rows((torch.tensor(1.0),))


def test_what_fails_in_rows_of_ones_own_is_told():
    with pytest.raises(TypeError, match="data must be Rows") as error:
        as_rows(Lazy(3, KeyError("b")))
    assert isinstance(error.value.__cause__, KeyError)
    with pytest.raises(OSError, match="no disk"):
        as_rows(Lazy(3, OSError("no disk")))


# Data sets


def own(**changes):
    fields = {
        "name": "mine",
        "kind": "points",
        "train": Lazy(10),
        "validation": Lazy(4),
        "class_names": tuple("0123456789"),
        "shift": (1.0,),
        "scale": (2.0,),
        "clip": (0.0, 81.0),
        "fingerprint": "",
    }
    return Dataset(**fields | changes)


def test_a_data_set_of_ones_own_rows():
    data = own()
    assert (data.shape, data.labelled, data.reference) == ((1,), True, data.validation)
    assert own(test=data.train).reference is data.train
    assert data.to_data(torch.tensor([[3.0]])).tolist() == [[7]]
    assert data.to_data(torch.tensor([[3.0]], dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("test", [None, Lazy(7)])
def test_without_labels_rows_yield_the_samples_alone(test):
    data = own(test=test)
    plain = data.without_labels()
    assert (plain.class_names, plain.labelled, plain.shape) == ((), False, (1,))
    for part in ("train", "validation", "test"):
        rows, bare = getattr(data, part), getattr(plain, part)
        assert (rows is None) == (bare is None)
        if rows is not None:
            assert isinstance(bare, Rows) and len(bare) == len(rows) and as_rows(bare) is bare
            (x,) = bare[torch.tensor([2, 1])]
            assert x.tolist() == [[4], [1]]
    kept = ("name", "kind", "shift", "scale", "clip", "fingerprint")
    assert all(getattr(plain, name) == getattr(data, name) for name in kept)
    assert len(plain.without_labels().train[torch.tensor([0])]) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"kind": "sound"}, ValueError, "kind must be one of images, points.*got 'sound'"),
        ({"train": None}, TypeError, "train must be Rows.*got NoneType"),
        ({"train": (torch.zeros(3), torch.ones(3))}, TypeError, "train must be Rows"),
        ({"validation": 5}, TypeError, "validation must be Rows.*got int 5"),
        ({"test": "abc"}, TypeError, "test must be Rows.*got str 'abc'"),
        ({"validation": {}}, TypeError, "validation must be Rows"),
        ({"class_names": None}, TypeError, "class_names must be a tuple, got NoneType"),
        ({"scale": 2.0}, TypeError, "scale must be a tuple, got float 2.0"),
        ({"class_names": ("a", "a")}, ValueError, "class_names must differ from each other"),
        ({"class_names": ("a", "none")}, ValueError, "and from 'none', the absent label"),
        ({"columns": "x"}, TypeError, "columns must be a tuple, got str 'x'"),
        ({"notes": None}, TypeError, "notes must be a tuple, got NoneType"),
        ({"class_names": ()}, ValueError, "train must yield labels if there are class_names"),
        ({"train": as_rows((torch.zeros(3),))}, ValueError, "train must yield labels"),
    ],
)
def test_a_data_set_checks_its_parts(changes, kind, reason):
    with pytest.raises(kind, match=reason):
        own(**changes)


@pytest.mark.parametrize(
    ("x", "kind", "reason"),
    [
        (None, TypeError, "x must be a tensor, got NoneType"),
        (torch.zeros(2, 1, dtype=torch.int64), TypeError, "x must hold floats, got torch.int64"),
        (torch.zeros(2, 1, dtype=torch.complex64), TypeError, "x must hold floats"),
        (torch.zeros(2, 3), ValueError, r"x must have shape \(b, 1\), got \(2, 3\)"),
    ],
)
def test_to_data_checks_the_samples(x, kind, reason):
    with pytest.raises(kind, match=reason):
        own().to_data(x)


def test_labels_are_the_classes_plus_one():
    _, classes = load_digits_images()
    data = load_dataset("digits", seed=0)
    train, held_out = split_validation(1797, 0.5, 0)
    labels = whole(data.train)[1]
    assert labels.dtype == torch.int64 and torch.equal(labels, classes[train] + 1)
    assert torch.equal(whole(data.validation)[1], classes[held_out] + 1)
    assert labels.unique().tolist() == list(range(1, 11))


def test_digits_are_split_in_half_with_labels():
    data = load_dataset("digits", seed=0)
    images, _ = load_digits_images()
    assert (len(data.train), len(data.validation), data.shape) == (899, 898, (1, 8, 8))
    assert (data.name, data.kind, data.labelled, data.test) == ("digits", "images", True, None)
    train, held_out = split_validation(1797, 0.5, 0)
    assert torch.equal(whole(data.train)[0], images[train])
    assert torch.equal(whole(data.validation)[0], images[held_out])
    assert data.class_names == tuple("0123456789") and data.clip == (-1, 1)
    assert torch.equal(data.to_data(whole(data.train)[0]), whole(data.train)[0])
    assert data.fingerprint == load_dataset("digits", seed=9).fingerprint
    # What was held out, and the hash, before data sets were rows.
    assert held_out[:5].tolist() == [900, 721, 1661, 1560, 1004]
    assert data.fingerprint.startswith("314b97e8b73b7a46")


def test_drawn_sets_have_the_size_asked_for_and_a_stream_for_each_part():
    data = load_dataset("spiral", seed=0, size=300)
    (train,), (held_out,) = whole(data.train), whole(data.validation)
    assert (train.shape, held_out.shape) == ((300, 2), (30, 2))
    assert (data.kind, data.labelled, data.class_names) == ("points", False, ())
    assert torch.cdist(held_out, train).min() > 0
    assert torch.equal(train, make_spiral(300, seeds.stream(0, "data/train")))
    assert torch.equal(held_out, make_spiral(30, seeds.stream(0, "data/validation")))
    assert data.clip == (tuple(train.amin(0).tolist()), tuple(train.amax(0).tolist()))
    longer = load_dataset("spiral", seed=0, size=309)
    assert torch.equal(whole(longer.validation)[0], held_out)
    assert len(data.fingerprint) == 64 and data.fingerprint != longer.fingerprint


def test_patterns_are_balanced():
    data = load_dataset({"name": "patterns", "size": 301}, seed=0)
    points, labels = whole(data.train)
    assert labels.bincount().tolist() == [0, 101, 100, 100]
    assert whole(data.validation)[1].bincount().tolist() == [0, 10, 10, 10]
    assert data.class_names == ("spiral", "s-curve", "moons")
    for k, curve in enumerate((SPIRAL, S_CURVE, MOONS), start=1):
        assert curve_distances(points[labels == k], curve.polyline())[0].max() < 1e-5


def test_points_are_standardised_by_the_training_part_and_back(tmp_path):
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(200, 3, generator=generator) * torch.tensor([1.0, 50.0, 0.01]) + 7
    np.save(tmp_path / "a.npy", raw.numpy())
    data = load_dataset("points", path=tmp_path / "a.npy", seed=4)
    train, held_out = split_validation(200, 0.1, 4)
    (x,), (other,) = whole(data.train), whole(data.validation)
    assert (len(x), len(other), data.kind, data.labelled) == (180, 20, "points", False)
    assert x.mean(0).abs().max() < 1e-5
    assert x.std(0, correction=0).numpy() == pytest.approx(np.ones(3), abs=1e-5)
    assert torch.allclose(data.to_data(x), raw[train].double(), rtol=1e-5)
    assert torch.allclose(data.to_data(other), raw[held_out].double(), rtol=1e-5)
    assert data.clip == (tuple(x.amin(0).tolist()), tuple(x.amax(0).tolist()))


def far_off(tmp_path, suffix=".csv"):
    """Clock times and places on a map: large offsets, a spread of 1; (300, 3) float64."""
    generator = np.random.default_rng(0)
    raw = generator.normal([1.7e9, 4_500_000.25, 0.0], [1.0, 0.25, 1e-9], (300, 3))
    if suffix == ".npy":
        np.save(tmp_path / "a.npy", raw)
    else:
        lines = [",".join(repr(float(v)) for v in row) for row in raw]
        (tmp_path / "a.csv").write_text("time,north,tiny\n" + "\n".join(lines))
    return raw, load_dataset("points", path=tmp_path / ("a" + suffix), seed=0)


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_a_large_offset_loses_no_digits_on_the_way_to_the_model_and_back(tmp_path, suffix):
    raw, data = far_off(tmp_path, suffix)
    train, held_out = (i.numpy() for i in split_validation(300, 0.1, 0))
    shift, scale = raw[train].mean(0), raw[train].std(0)
    np.testing.assert_allclose(data.shift, shift, rtol=1e-15, atol=1e-20)
    np.testing.assert_allclose(data.scale, scale, rtol=1e-7)
    x = whole(data.train)[0]
    assert x.dtype == torch.float32
    expected = (raw[train] - raw[train[0]]) / scale
    np.testing.assert_allclose(x.double() - x[0].double(), expected, atol=1e-6)
    kind = Points(facts_of(data))
    stored = kind.encode(x)
    assert stored.dtype == np.float64
    assert np.abs((stored - raw[train]) / scale).max() < 1e-6
    assert (kind.decode(stored) - x).abs().max() < 1e-6
    back = data.to_data(whole(data.validation)[0]).numpy()
    assert np.abs((back - raw[held_out]) / scale).max() < 1e-6
    assert data.columns == (("time", "north", "tiny") if suffix == ".csv" else ())
    assert facts_of(data).columns == data.columns


def test_points_in_the_units_of_the_model_stay_float32():
    data = load_dataset("spiral", size=20)
    x = whole(data.train)[0]
    kind = Points(facts_of(data))
    assert kind.encode(x).dtype == np.float32
    assert torch.equal(kind.decode(kind.encode(x)), x)
    assert torch.equal(data.to_data(x), x)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (
            1e17 + 20 * np.arange(20.0),
            "column 2 differs by 115 around 1e\\+17, so it has few digits",
        ),
        (np.r_[np.full(19, 0.1), 0.1 + 1e-16], "column 2 (is constant|differs)"),
        (1e308 * np.linspace(-1, 1, 20), "column 2 spreads beyond float64"),
    ],
)
def test_columns_that_cannot_be_scaled_are_named(tmp_path, column, reason):
    np.save(tmp_path / "a.npy", np.c_[np.arange(20.0), column])
    with pytest.raises(ValueError, match=rf"a\.npy: {reason}"):
        load_dataset("points", path=tmp_path / "a.npy")


def test_no_column_leaves_its_own_range(tmp_path):
    generator = np.random.default_rng(0)
    share, wide = generator.beta(0.3, 0.3, 500), generator.standard_t(2, 500) * 10
    np.save(tmp_path / "a.npy", np.c_[share, wide])
    data = load_dataset("points", path=tmp_path / "a.npy", seed=0)
    (x,) = whole(data.train)
    low, high = torch.tensor(data.clip, dtype=torch.float32)
    assert torch.equal(low, x.amin(0))
    assert torch.equal(high, x.amax(0))
    assert high[1] > 2 * high[0]

    def shouting(x, t):  # an answer that is far off wherever it is asked
        return 50 * torch.sin(1000 * x)

    model = GaussianDiffusion(cosine(timesteps=20), data.shape, shouting, clip=data.clip)
    for drawn in (last(sample(model, 400, seed=0)).x, p_sample_loop(model, 400, seed=1)):
        values = Points(facts_of(data)).encode(drawn)
        seen = data.to_data(x).numpy()
        tiny = 1e-6 * np.ptp(seen, axis=0)
        assert (values >= seen.min(0) - tiny).all()
        assert (values <= seen.max(0) + tiny).all()
        assert np.ptp(values[:, 1]) > 0.9 * np.ptp(seen[:, 1])


def test_notes_are_empty_unless_something_was_guessed(tmp_path):
    assert load_dataset("spiral", size=20).notes == ()
    plain = write(tmp_path / "a.csv", "x,y\n" + rows())
    assert load_dataset("points", path=plain).notes == ()
    other = write(tmp_path / "b.csv", "x;y\n" + rows().replace(",", ";").replace(".", ","))
    assert load_dataset("points", path=other).notes == ("delimiter ';', decimal comma",)
    assert load_dataset("points", path=other).without_labels().notes != ()


def test_a_constant_column_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "".join(f"{i},0.1\n" for i in range(20)))
    with pytest.raises(ValueError, match=r"a\.csv: column 2 is constant, so 'y' cannot"):
        load_dataset("points", path=path, seed=0)


@pytest.mark.parametrize(
    ("choice", "options", "reason"),
    [
        ("cats", {}, "data must be one of digits, folder, spiral, .*, got 'cats'"),
        ("digitz", {}, "got 'digitz'; did you mean digits?"),
        (None, {}, "data must be a name"),
        ({"size": 5}, {}, "data must be a name"),
        ("points", {}, "'points' needs the path of a .csv or .npy file"),
        ("digits", {"path": "a.csv"}, "data digits takes no path; it takes seed"),
        ("digits", {"name": "spiral"}, "data gets name twice"),
        ("spiral", {"size": 9}, "size must lie in 10..100000000, got 9"),
        ("spiral", {"size": 10**30}, "size must lie in 10.."),
        ("spiral", {"size": 1.5}, "data.size must be int, got 1.5"),
        ("patterns", {"seed": -1}, "seed must be .*, got -1"),
        ("digits", {"seed": math.nan}, "data.seed must be int, got nan"),
    ],
)
def test_load_dataset_explains_what_is_wrong(choice, options, reason):
    with pytest.raises(ValueError, match=reason):
        load_dataset(choice, **options)


# Wrong types


@pytest.mark.parametrize("wrong", [None, "5", 1.5, math.nan, True, [3], torch.tensor([1, 2]), 3j])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("n", make_spiral),
        ("n", make_s_curve),
        ("n", make_moons),
        ("n_per_class", make_patterns),
        ("points_per_arc", SPIRAL.arc_points),
        ("points_per_arc", MOONS.polyline),
        ("bins", S_CURVE.arc_bin_probabilities),
        ("num", lambda wrong: split_validation(wrong, 0.5, 0)),
        ("seed", lambda wrong: split_validation(5, 0.5, wrong)),
        ("size", lambda wrong: spiral(size=wrong)),
        ("seed", lambda wrong: spiral(seed=wrong)),
        ("size", lambda wrong: patterns(size=wrong)),
        ("seed", lambda wrong: patterns(seed=wrong)),
        ("seed", lambda wrong: digits(seed=wrong)),
        ("n", lambda wrong: first(as_rows((torch.zeros(3),)), wrong)),
    ],
)
def test_integers_are_asked_for_by_name(name, call, wrong):
    with pytest.raises(TypeError, match=f"^{name} must be an integer, got "):
        call(wrong)


@pytest.mark.parametrize("wrong", [None, "5", 3j, [0.5], True])
def test_other_arguments_are_asked_for_by_name(wrong):
    with pytest.raises(TypeError, match="fraction must be a number, got"):
        split_validation(5, wrong, 0)
    if wrong is not None:
        with pytest.raises(
            TypeError, match=r"generator must be a torch\.Generator of the CPU or No"
        ):
            make_spiral(3, wrong)
    if not isinstance(wrong, str):
        with pytest.raises(TypeError, match="path must be a path, got"):
            read_points(wrong)
    with pytest.raises(TypeError, match="place must be callable, got"):
        Arc(wrong, 0, 1)
    with pytest.raises(TypeError, match="low must be a number, got"):
        Arc(torch.sin, wrong, 1)
    with pytest.raises(TypeError, match="arcs must be a tuple of one Arc or more, got"):
        Curve("mine", wrong, 1.0, 0.0)
    with pytest.raises(TypeError, match="scale must be a number, got"):
        Curve("mine", SPIRAL.arcs, wrong, 0.0)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: make_spiral(-1), "n must lie in 0..1000000000, got -1"),
        (lambda: make_patterns(-1), "n_per_class must be at least 0, got -1"),
        (lambda: SPIRAL.polyline(1), "points_per_arc must lie in 2..1000000000, got 1"),
        (lambda: SPIRAL.arc_bin_probabilities(0), "bins must lie in 1..1000000000, got 0"),
        (lambda: split_validation(5, math.nan, 0), r"fraction must lie in \[0, 1\], got nan"),
        (lambda: split_validation(5, 0.5, -1), "seed must be .*, got -1"),
        (lambda: Arc(torch.sin, 0, math.inf), "high must be a finite number, got inf"),
        (lambda: Curve("mine", SPIRAL.arcs, 1.0, math.nan), "shift must be a finite number"),
    ],
)
def test_values_are_refused_by_name(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()
