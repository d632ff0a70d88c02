"""Features that need no labels, and what the distances in them make of spoilt images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import denoising_diffusion.metrics.encoder as module
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.data.digits import load_digits_images
from denoising_diffusion.data.rows import in_memory
from denoising_diffusion.files import read_tensors, write_tensors
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.metrics import (
    RandomConvolutions,
    Whitened,
    judge,
    kernel_distance,
    random_convolutions,
    to_json,
)
from denoising_diffusion.metrics.encoder import encoder
from denoising_diffusion.metrics.views import shown_anew, spoilt
from denoising_diffusion.run.prepare import facts_of


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def patterns(n=12, shape=(1, 6, 8), seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def mixed_digits():
    """In random order; as they come, one half has other writers than the other."""
    x, classes = load_digits_images()
    order = torch.randperm(len(x), generator=stream(7))
    return x[order], classes[order]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "denoising-diffusion" / "encoders"


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often an encoder is trained."""
    done = []
    original = module._train

    def counted(*arguments):
        done.append(1)
        original(*arguments)

    monkeypatch.setattr(module, "_train", counted)
    return done


@pytest.fixture
def brief(monkeypatch, cache):
    """Trainings of two steps."""
    monkeypatch.setattr(module, "_COURSE", replace(module._COURSE, steps=2))


def weights(found):
    return torch.cat([p.detach().flatten() for p in found.model.parameters()])


# Views


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 5), (1, 1, 3), (3, 48, 48)])
def test_views_have_the_shape_and_the_colours_of_their_images(shape):
    x = patterns(20, shape)
    view = shown_anew(x, stream())
    assert view.shape == x.shape and not torch.equal(view, x)
    covered = (shape[1] // 3) * (shape[2] // 3) * shape[0]
    for image, colours in zip(view.flatten(1), x.flatten(1), strict=True):
        assert int((~torch.isin(image, colours)).sum()) == covered
    assert torch.equal(view, shown_anew(x, stream()))
    assert not torch.equal(view, shown_anew(x, stream(1)))


def test_spoilt_images_are_noisy_blurred_or_half_another():
    x = patterns(300, (1, 8, 8))
    bad = spoilt(x, stream())
    assert bad.shape == x.shape and float(bad.abs().max()) <= 1
    assert bool((bad != x).flatten(1).any(1).all())
    other = x.roll(1, 0)
    mixed = ((bad == x) | (bad == other)).flatten(1).all(1)
    calmer = bad.flatten(1).std(1) < 0.9 * x.flatten(1).std(1)
    assert 60 < int(mixed.sum()) < 140
    assert 60 < int((calmer & ~mixed).sum()) < 140
    flat = torch.full((300, 1, 8, 8), 0.5)
    noisy = (spoilt(flat, stream()) != flat).flatten(1).any(1)  # nothing else shows on them
    assert 60 < int(noisy.sum()) < 140


# Random convolutions


def test_a_flat_image_has_a_closed_form():
    net = RandomConvolutions.of(3)
    colour = torch.tensor([0.5, -0.2, 0.1])
    image = colour[:, None, None].expand(1, 3, 9, 12)
    gelu = torch.nn.functional.gelu
    fine = gelu(net.first.sum((2, 3)) @ colour)
    coarse = gelu(net.second.sum((2, 3)) @ fine)
    none = torch.zeros(32)
    scale = torch.cat([fine, none, coarse, none])
    torch.testing.assert_close(
        net.features(image), scale.repeat(2)[None], rtol=1e-5, atol=1e-6
    )  # 9 x 12, then 5 x 6; the next would be 3 x 3


@pytest.mark.parametrize(("side", "scales"), [(8, 2), (28, 4), (48, 4), (1, 1)])
def test_filters_are_always_the_same_and_parts_do_not_show(side, scales, monkeypatch):
    x = patterns(7, (1, side, side))
    found = RandomConvolutions.of(1).features(x)
    assert found.shape == (7, 128 * scales)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        state = torch.get_rng_state()
        again = RandomConvolutions.of(1)
        assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(random_convolutions, "_PART", 3)
    torch.testing.assert_close(again.features(x.double()), found, rtol=1e-4, atol=1e-5)


def test_random_convolutions_complain():
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        RandomConvolutions.of(0)
    with pytest.raises(ValueError, match=r"x must have shape \(n, 3, h, w\), got"):
        RandomConvolutions.of(3).features(patterns())


# Whitened components


def test_training_features_have_mean_zero_and_variance_one():
    x = normal(300, 10) @ normal(10, 10, seed=1) + 5
    found = Whitened.over(x)(x)
    assert found.shape == (300, 10)
    torch.testing.assert_close(found.mean(0), torch.zeros(10).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(found.T @ found / 300, torch.eye(10).double(), rtol=0, atol=1e-10)
    moved = x @ normal(10, 10, seed=2) - 3  # distances are those of Mahalanobis, in any basis
    again = Whitened.over(moved)(moved)
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(again, again))


def test_few_rows_and_columns_without_variance_are_left_out():
    assert Whitened.over(normal(1000, 200))(normal(5, 200)).shape == (5, 64)
    assert Whitened.over(normal(80, 200))(normal(5, 200)).shape == (5, 10)
    flat = torch.cat([normal(100, 3), torch.full((100, 2), 7.0)], 1)
    assert Whitened.over(flat)(flat).shape == (100, 3)
    for rows in (normal(1, 4), torch.ones(9, 4)):
        assert float(Whitened.over(rows)(rows).abs().max()) < 1e-12
    with pytest.raises(ValueError, match=r"features must have shape \(n, d\)"):
        Whitened.over(normal(5))


# The encoder


def test_a_kept_encoder_is_used_again_for_the_same_images_alone(cache, brief, trainings):
    x = patterns()
    first = encoder(x, fingerprint="a")
    again = encoder(x, fingerprint="a")
    assert len(trainings) == 1 and torch.equal(weights(first), weights(again))
    assert torch.equal(first.features(x), again.features(x))
    encoder(x, fingerprint="b")
    encoder(x, fingerprint="a", seed=1)
    encoder(x.flip(0), fingerprint="a")
    encoder(x[:, :, :5], fingerprint="a")
    assert len(trainings) == 5 == len(list(cache.iterdir()))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f, s: f.write_bytes(f.read_bytes()[:99]), "damaged or no safetensors file"),
        (
            lambda f, s: write_tensors(f, {"a": torch.zeros(1)}, s.notes),
            "Missing key",
        ),
    ],
)
def test_what_does_not_fit_is_told_and_trained_again(cache, brief, trainings, harm, message):
    x = patterns()
    first = encoder(x, fingerprint="a")
    (file,) = cache.iterdir()
    harm(file, read_tensors(file))
    with pytest.warns(UserWarning, match=f"{message}.*the encoder is trained again"):
        again = encoder(x, fingerprint="a")
    assert len(trainings) == 2 and torch.equal(weights(first), weights(again))


def test_a_cache_that_cannot_be_used_costs_a_warning(tmp_path, monkeypatch, brief):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="the encoder cannot be kept: "):
        encoder(patterns(), fingerprint="a")


@pytest.mark.parametrize(
    "shape", [(1, 6, 8), (3, 9, 5), (1, 1, 3), (1, 1, 1), (3, 48, 48), (1, 200, 90), (1, 1, 300)]
)
@pytest.mark.parametrize("n", [1, 12])
def test_images_of_any_size_and_number_are_read(brief, shape, n):
    found = encoder(patterns(n, shape), fingerprint="a")
    features = found.features(patterns(5, shape, seed=1))
    assert features.shape == (5, 64) and bool(features.isfinite().all())


def test_parts_do_not_show_and_the_global_stream_is_left_alone(brief, monkeypatch):
    x, state = patterns(), torch.get_rng_state()
    with torch.no_grad():
        found = encoder(x, fingerprint="a")
    features = found.features(x)
    assert not features.requires_grad and not found.model.training
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(module, "_PART", 5)
    torch.testing.assert_close(found.features(x), features)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": None}, TypeError, "images must be a tensor, got NoneType"),
        ({"images": torch.zeros(12, 6, 8)}, ValueError, r"images must have shape \(n, c, h, w\)"),
        ({"images": torch.zeros(2, 1, 6, 8) / 0}, ValueError, "images holds values that are not"),
        ({"fingerprint": 5}, TypeError, "fingerprint must be a str, got int 5"),
        ({"seed": -1}, ValueError, "seed must lie in 0"),
    ],
)
def test_encoder_complains(change, error, message):
    with pytest.raises(error, match=message):
        encoder(**{"images": patterns(), "fingerprint": "a", **change})


@pytest.mark.slow
def test_sixty_steps_teach_what_digits_look_like(cache, monkeypatch):
    monkeypatch.setattr(module, "_COURSE", replace(module._COURSE, steps=60))
    x, classes = mixed_digits()
    found = encoder(x[:900], fingerprint="digits")
    measure = Whitened.over(found.features(x[:900]))
    known, asked = (measure(found.features(v)) for v in (x[:900], x[900:]))
    nearest = torch.cdist(asked, known).argmin(1)
    assert float((classes[:900][nearest] == classes[900:]).double().mean()) > 0.85
    check_ladder(lambda v: measure(found.features(v)), x[:897], x[900:], classes[:897])


# What the kernel distance makes of spoilt images


def blurred(x, share):
    soft = torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(x, (1,) * 4, mode="replicate"), 3, stride=1
    )
    return x + share * (soft - x)


def check_ladder(features, train, real, classes):
    """Spoilt training images lie the further off the more they are spoilt, the floor nearest."""
    reference = features(real)

    def distance(x):
        return kernel_distance(features(x), reference)

    noise = torch.randn(train.shape, generator=stream())
    floor = distance(train)
    assert abs(floor.value) < 2 * floor.interval
    limit = floor.value + floor.interval
    ladders = [
        [train + s * noise for s in (0.15, 0.3, 0.6)],
        [blurred(train, s) for s in (0.3, 0.6, 1.0)],
        [train[classes < k] for k in (8, 5, 2)],
        [train[:k].repeat(-(-len(train) // k), 1, 1, 1) for k in (40, 15, 5)],
    ]
    for ladder in ladders:
        values = [distance(x.clamp(-1, 1)).value for x in ladder]
        assert limit < values[0] < values[1] < values[2], values
    assert distance(torch.rand(train.shape, generator=stream()) * 2 - 1).value > 100 * limit


@pytest.fixture(scope="module")
def measured():
    """Digits, their classes, and whitened random convolutions of the first half of them."""
    x, classes = mixed_digits()
    features = RandomConvolutions.of(1).features
    measure = Whitened.over(features(x[:900]))
    return x, classes, lambda v: measure(features(v))


def test_random_convolutions_see_noise_blur_missing_classes_and_copies(measured):
    x, classes, features = measured
    check_ladder(features, x[:897], x[900:], classes[:897])


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_twenty_independent_sets_spread_as_the_interval_says(measured, noise):
    x, _, features = measured
    reference = features(x[:897])
    spoilt_images = x[897:] + noise * torch.randn(900, 1, 8, 8, generator=stream())
    sets = [features(rows) for rows in spoilt_images.clamp(-1, 1).split(45)]
    found = [kernel_distance(rows, reference) for rows in sets]
    spread = np.std([f.value for f in found], ddof=1)
    assert len(found) == 20
    assert np.mean([f.standard_error for f in found]) == pytest.approx(spread, rel=0.4)
    if not noise:
        assert sum(abs(f.value) <= f.interval for f in found) >= 17


# Scores of images without classes, and in colour


def scored(data, x, how=Scoring()):  # noqa: B008
    return Images(facts_of(data)).scores(x, None, data, how)


ENDS = ("", "_interval", "_floor", "_ceiling")
KEYS = [
    *(f"{key}{end}" for key in ("frechet", "kid", "kid_random") for end in ENDS),
    *("precision", "recall", "density", "coverage"),
    *("memorisation_pixels", "memorisation_features"),
]


@pytest.mark.slow
def test_images_without_classes_are_scored(cache, monkeypatch):
    monkeypatch.setattr(module, "_COURSE", replace(module._COURSE, steps=10))
    data = load_dataset("digits").without_labels()
    real, train = whole(data.validation)[0], whole(data.train)[0]
    kind = Images(facts_of(data))
    assert kind.most(data) == len(real)
    scores = to_json(scored(data, real).scores)
    assert sorted(scores) == sorted(KEYS)
    assert scores["frechet"] < 1e-6 and scores["kid"] < 0 and scores["kid_random"] < 0
    assert scores["precision"] == scores["coverage"] == scores["memorisation_pixels"] == 1
    copies = to_json(scored(data, train[: len(real)]).scores)
    assert copies["memorisation_pixels"] == copies["memorisation_features"] == 0
    for key in ("frechet", "kid", "kid_random"):
        assert copies[key] == pytest.approx(copies[f"{key}_floor"], abs=1e-9)
        assert copies[key] < copies[f"{key}_ceiling"]
    before = copies
    for strength in (0.2, 0.5, 1.0):
        noise = torch.randn(real.shape, generator=stream())
        spoilt_scores = to_json(scored(data, (real + strength * noise).clamp(-1, 1)).scores)
        assert spoilt_scores["kid_random"] > before["kid_random"]
        before = spoilt_scores


def coloured(n, shape=(3, 6, 9), classes=0):
    labels = [torch.arange(n) % max(1, classes)] * bool(classes)
    parts = [(patterns(n, shape, seed), *labels) for seed in (0, 1)]
    names = ("a", "b")[:classes]
    return in_memory("mine", "images", *parts, class_names=names, clip=(-1.0, 1.0))


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_few_coloured_images_without_classes_are_scored(brief, n):
    found = scored(coloured(n), patterns(n, (3, 6, 9), seed=2))
    scores = to_json(found.scores)
    assert sorted(scores) == sorted(KEYS)
    assert set(found.pictures) == {"nearest"}
    assert (scores["kid_interval"] is None) == (n < 4)


@pytest.mark.parametrize("classes", [1, 2])
def test_classes_that_cannot_be_read_leave_the_features_to_an_encoder(brief, monkeypatch, classes):
    monkeypatch.setattr(judge, "_SMALL", replace(judge._SMALL, epochs=0, least_steps=2))
    scores = to_json(scored(coloured(40, classes=classes), patterns(40, (3, 6, 9), seed=2)).scores)
    assert {*KEYS, "fld", "floor", "ceiling", "label_agreement"} <= set(scores)
    assert classes == 1 or scores["classifier_accuracy"] < 0.9
