import warnings
from contextlib import nullcontext as nothing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import denoising_diffusion.metrics.judge as judge_module
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.files import read_tensors, write_tensors
from denoising_diffusion.metrics.judge import judge
from denoising_diffusion.nn import LeNet5, SmallClassifier
from test_idx import needs_mnist


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "denoising-diffusion" / "classifiers"


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often a classifier is trained."""
    done = []
    original = judge_module._train

    def counted(*arguments):
        done.append(1)
        original(*arguments)

    monkeypatch.setattr(judge_module, "_train", counted)
    return done


@pytest.fixture
def brief(monkeypatch, cache):
    """Trainings of two steps."""
    for name in ("_SMALL", "_LENET"):
        course = replace(getattr(judge_module, name), epochs=0, least_steps=2)
        monkeypatch.setattr(judge_module, name, course)


def judged(data, seed=0, fingerprint=None):
    (x, labels), (y, expected) = whole(data.train), whole(data.reference)
    return judge(
        x, labels - 1, len(data.class_names), y, expected - 1,
        fingerprint=fingerprint or data.fingerprint, seed=seed,
    )  # fmt: skip


def patterns(n=12, shape=(1, 6, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=generator) * 2 - 1, torch.arange(n) % 3


def of(images, classes, **options):
    return judge(images, classes, 3, images, classes, fingerprint="of random numbers", **options)


def weights(found):
    return torch.cat([p.detach().flatten() for p in found.model.parameters()])


def the_file(cache) -> Path:
    (file,) = cache.iterdir()
    return file


# The network of 28x28 images


def test_lenet_has_the_published_count_and_84_features():
    net = LeNet5()
    assert sum(p.numel() for p in net.parameters()) == 44_426
    x = torch.rand(3, 1, 28, 28)
    assert net.features(x).shape == (3, 84)
    assert net.features(x).min() >= 0
    torch.testing.assert_close(net(x), net.features(x) @ net.head.weight.T + net.head.bias)


def test_lenet_refusals():
    with pytest.raises(ValueError, match=r"x must have shape \(b, 1, 28, 28\), got"):
        LeNet5()(torch.rand(1, 1, 32, 32))
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        LeNet5(0)


# What is kept


@pytest.mark.slow
def test_a_kept_classifier_is_used_again_for_the_same_data_alone(cache, trainings):
    digits = load_dataset("digits", seed=0)
    first = judged(digits)
    again = judged(digits)
    assert len(trainings) == 1
    assert torch.equal(weights(first), weights(again))
    assert first.accuracy == again.accuracy > 0.95
    judged(digits, seed=1)
    judged(load_dataset("digits", seed=1))
    judged(digits, fingerprint="other")
    assert len(trainings) == 4


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "edit"])
def test_a_damaged_classifier_is_trained_again(cache, trainings, harm):
    digits = load_dataset("digits", seed=0)
    first = judged(digits)
    file = the_file(cache)
    whole_file = file.read_bytes()
    edited = whole_file.replace(digits.fingerprint.encode(), b"0" * 64)
    assert edited != whole_file
    file.write_bytes(whole_file[: len(whole_file) // 2] if harm == "cut" else edited)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if harm == "cut" else "error")
        again = judged(digits)
    assert len(trainings) == 2
    assert torch.equal(weights(first), weights(again))
    judged(digits)
    assert len(trainings) == 2  # the damaged file has been replaced


def spoil(file, tensors):
    stored = read_tensors(file)
    write_tensors(file, tensors(stored.tensors), stored.notes)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:99]), "damaged or no safetensors file"),
        (lambda f: spoil(f, lambda t: {"head.bias": t["head.bias"]}), "Missing key"),
        (lambda f: spoil(f, lambda t: t | {"head.bias": torch.zeros(7)}), "size mismatch"),
        (lambda f: spoil(f, lambda t: t | {"head.bias": torch.ones(3) / 0}), "not finite"),
        (lambda f: (f.unlink(), f.mkdir()), "cannot be read|damaged"),
    ],
)
def test_what_does_not_fit_is_told_and_trained_again(cache, brief, trainings, harm, message):
    first = of(*patterns())
    harm(the_file(cache))
    told = f"({message}).*the classifier is trained again"
    keeps = pytest.warns(UserWarning, match="cannot be kept") if "read" in message else nothing()
    with keeps, pytest.warns(UserWarning, match=told):
        again = of(*patterns())
    assert len(trainings) == 2 and torch.equal(weights(first), weights(again))


def test_another_shape_or_number_of_classes_is_another_classifier(cache, brief, trainings):
    x, classes = patterns()
    of(x, classes)
    of(x[:, :, :4], classes)
    judge(x, classes, 4, x, classes, fingerprint="of random numbers")
    judge(x, classes.flip(0), 3, x, classes, fingerprint="of random numbers")
    assert len(trainings) == 4 == len(list(cache.iterdir()))


@pytest.mark.parametrize("trouble", ["read-only", "full", "homeless"])
def test_a_cache_that_cannot_be_used_costs_a_warning(tmp_path, monkeypatch, brief, trouble):
    if trouble == "read-only":
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    if trouble == "full":

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
    if trouble == "homeless":

        def homeless():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr("denoising_diffusion.files.cache_folder", homeless)
    again = trouble == "homeless"  # it was looked for in vain, too
    first = pytest.warns(UserWarning, match="home directory.*trained") if again else nothing()
    with first, pytest.warns(UserWarning, match="the classifier cannot be kept: ") as told:
        found = of(*patterns())
    assert 0 <= found.accuracy <= 1
    assert told[-1].filename == __file__
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


# What it reads


@pytest.mark.parametrize(("height", "width"), [(6, 8), (9, 5), (8, 8), (28, 32), (1, 3)])
def test_images_of_any_size_are_judged(brief, height, width):
    x, classes = patterns(shape=(3, height, width))
    found = of(x, classes)
    assert isinstance(found.model, SmallClassifier)
    assert found.read(x).shape == (12,) and found.features(x).shape == (12, 32)
    assert (found.read(x) == classes).double().mean().item() == found.accuracy
    with pytest.raises(ValueError, match=rf"x must have shape \(n, 3, {height}, {width}\), got"):
        found.read(x[:, :, :, :-1])


def test_a_square_of_whole_fours_is_seen_as_it_is(brief):
    x, classes = patterns(shape=(1, 8, 8))
    found = of(x, classes)
    assert torch.equal(found.features(x), found.model.features(x).detach())
    padded, _ = patterns(shape=(1, 7, 6))
    small = of(padded, classes)
    square = torch.zeros(12, 1, 8, 8)
    square[:, :, :7, :6] = padded
    assert torch.equal(small.features(padded), small.model.features(square).detach())


def test_lenet_sees_grey_levels_of_28_pixels(brief):
    x, classes = patterns(shape=(1, 28, 28))
    found = of(x, classes)
    assert isinstance(found.model, LeNet5)
    assert torch.equal(found.features(x), found.model.features((x + 1) / 2).detach())


def test_parts_do_not_show_and_nothing_is_kept_for_gradients(brief, monkeypatch):
    x, classes = patterns()
    with torch.no_grad():
        found = of(x, classes)
    whole_read, features = found.read(x), found.features(x)
    assert not features.requires_grad and not found.model.training
    monkeypatch.setattr(judge_module, "_PART", 5)
    assert torch.equal(found.read(x), whole_read)
    torch.testing.assert_close(found.features(x), features)
    assert torch.equal(found.read(x.double()), whole_read)


def test_the_global_stream_is_left_alone(brief):
    state = torch.get_rng_state()
    of(*patterns())
    assert torch.equal(torch.get_rng_state(), state)


@needs_mnist
@pytest.mark.slow
def test_lenet_reads_mnist_after_one_epoch(cache, monkeypatch):
    monkeypatch.setattr(
        judge_module, "_LENET", replace(judge_module._LENET, epochs=1, batch_size=64)
    )
    found = judged(load_dataset("mnist", seed=0))
    assert isinstance(found.model, LeNet5)
    assert found.accuracy > 0.95


# Complaints


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": None}, TypeError, "images must be a tensor, got NoneType"),
        ({"images": torch.zeros(12, 6, 8)}, ValueError, r"images must have shape \(n, c, h, w\)"),
        ({"images": torch.zeros(12, 1, 6, 8) / 0}, ValueError, "images holds values that are not"),
        ({"classes": torch.zeros(12)}, TypeError, "classes must hold integers, got torch.float32"),
        ({"classes": torch.zeros(5).int()}, ValueError, r"classes must have shape \(12,\), got"),
        ({"classes": torch.arange(12)}, ValueError, "classes must lie in 0..2, got values from 0"),
        ({"num_classes": 0}, ValueError, "num_classes must lie in 1"),
        ({"num_classes": 3.0}, TypeError, "num_classes must be an integer, got float 3.0"),
        ({"test_images": torch.zeros(2, 1, 8, 8)}, ValueError, r"test_images must have shape \(n"),
        ({"test_images": torch.zeros(0, 1, 6, 8)}, ValueError, "test_images has no rows"),
        ({"test_classes": torch.zeros(1).int()}, ValueError, "test_classes must have shape"),
        ({"fingerprint": 5}, TypeError, "fingerprint must be a str, got int 5"),
        ({"seed": -1}, ValueError, "seed must lie in 0"),
        ({"seed": 2**63}, ValueError, "seed must lie in 0"),
        ({"seed": 0.5}, TypeError, "seed must be an integer, got float 0.5"),
    ],
)
def test_judge_complains(change, error, message):
    x, classes = patterns()
    good = {
        "images": x, "classes": classes, "num_classes": 3,
        "test_images": x, "test_classes": classes, "fingerprint": "a",
    }  # fmt: skip
    with pytest.raises(error, match=message):
        judge(**{**good, **change})
