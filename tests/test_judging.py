"""LeNet-5, the classifier cache, the scores of images, and drawing in pieces."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from denoising_diffusion.data import load_dataset
from denoising_diffusion.jobs import ImageScoring, SampleOptions, evaluate_images, plan, read_npz
from denoising_diffusion.jobs import classifier as classifier_module
from denoising_diffusion.jobs import drawing as drawing_module
from denoising_diffusion.jobs import sampling as sampling_module
from denoising_diffusion.jobs.classifier import judge
from denoising_diffusion.jobs.drawing import draw_file
from denoising_diffusion.jobs.prepare import read_data, with_facts
from denoising_diffusion.jobs.sampling import draw
from denoising_diffusion.nn import LeNet5
from denoising_diffusion.recipes import recipe
from denoising_diffusion.report import to_uint8
from denoising_diffusion.run import build_diffusion
from test_idx import needs_mnist


def test_lenet_has_the_published_count_and_84_features():
    net = LeNet5()
    assert sum(p.numel() for p in net.parameters()) == 44_426
    x = torch.rand(3, 1, 28, 28)
    assert net.features(x).shape == (3, 84)
    assert net.features(x).min() >= 0
    torch.testing.assert_close(net(x), net.features(x) @ net.head.weight.T + net.head.bias)


def test_lenet_refusals():
    with pytest.raises(ValueError, match="images must be 28x28, got 32x32"):
        LeNet5()(torch.rand(1, 1, 32, 32))
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        LeNet5(0)


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return load_dataset("digits", None, seed=0, size=0)


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often a classifier is trained."""
    done = []
    original = classifier_module._train

    def counted(*arguments):
        done.append(1)
        original(*arguments)

    monkeypatch.setattr(classifier_module, "_train", counted)
    return done


def weights(found):
    return torch.cat([p.detach().flatten() for p in found.model.parameters()])


@pytest.mark.slow
def test_a_kept_classifier_is_used_again_for_the_same_data_alone(digits, trainings):
    first = judge(digits)
    again = judge(digits)
    assert len(trainings) == 1
    assert torch.equal(weights(first), weights(again))
    assert first.accuracy == again.accuracy > 0.95
    judge(digits, seed=1)
    judge(load_dataset("digits", None, seed=1, size=0))
    judge(replace(digits, fingerprint="other"))
    assert len(trainings) == 4


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "edit"])
def test_a_damaged_classifier_is_trained_again(tmp_path, digits, trainings, harm):
    first = judge(digits)
    (file,) = (tmp_path / "cache" / "denoising-diffusion" / "classifiers").iterdir()
    whole = file.read_bytes()
    edited = whole.replace(digits.fingerprint.encode(), b"0" * 64)
    assert edited != whole
    file.write_bytes(whole[: len(whole) // 2] if harm == "cut" else edited)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if harm == "cut" else "error")
        again = judge(digits)
    assert len(trainings) == 2
    assert torch.equal(weights(first), weights(again))
    judge(digits)
    assert len(trainings) == 2  # the damaged file has been replaced


@pytest.mark.slow
def test_scores_of_real_images_and_of_spoilt_ones(digits):
    real, labels = digits.validation, digits.validation_labels
    names = [digits.class_names[int(k)] for k in labels]
    scores, evidence = evaluate_images(digits, real, names, ImageScoring(2, classic=True))
    assert scores["fld"] < 1e-9
    assert scores["label_agreement"] == scores["classifier_accuracy"]
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1
    assert scores["proportion_error"] < 1e-3
    assert scores["memorisation_pixels"] == scores["memorisation_features"] == 1
    assert len(scores["fld_by_classifier"]) == 2
    assert 0 < scores["classic"]["fld"] < scores["floor"] < scores["classic"]["random"]
    assert evidence.confusion.sum() == len(real)

    copies, _ = evaluate_images(digits, digits.train[: len(real)], None)
    assert copies["memorisation_pixels"] == 0
    assert copies["fld"] == copies["floor"]
    assert copies["label_agreement"] is None

    before = 0.0
    for strength in (0.2, 0.5, 1.0):
        noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
        spoilt, _ = evaluate_images(digits, (real + strength * noise).clamp(-1, 1), None)
        assert spoilt["fld"] > before
        before = spoilt["fld"]


@pytest.mark.slow
def test_mixed_and_wrong_labels_are_told_apart(digits):
    real, labels = digits.validation, digits.validation_labels
    wrong = [digits.class_names[(int(k) + 1) % 10] for k in labels]
    scores, _ = evaluate_images(digits, real, wrong)
    assert scores["label_agreement"] < 0.05
    half = [n if i % 2 else "none" for i, n in enumerate(wrong)]
    _, evidence = evaluate_images(digits, real, half)
    assert evidence.confusion.sum() == len(real) // 2


@needs_mnist
@pytest.mark.slow
def test_lenet_reads_mnist_after_one_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        classifier_module, "_LENET", replace(classifier_module._LENET, epochs=1, batch_size=64)
    )
    found = judge(load_dataset("mnist", None, seed=0, size=0))
    assert isinstance(found.model, LeNet5)
    assert found.accuracy > 0.95


@pytest.fixture
def small(digits):
    """An untrained digits model in five steps, 40 samples in pieces of 16."""
    config = with_facts(recipe("digits"), read_data(recipe("digits")))
    network = replace(config.network, model_channels=8)
    config = replace(config, network=network)
    config = replace(config, training=replace(config.training, precision="float32"))
    model = build_diffusion(config, config.facts).eval().requires_grad_(False)
    chosen = plan(config, config.facts, SampleOptions(num=40, sampler="ddim", steps=5, eta=1.0), 40)
    return model, config.facts, chosen


def test_pieces_make_the_file_that_one_go_makes(tmp_path, monkeypatch, small):
    model, facts, chosen = small
    monkeypatch.setattr(drawing_module, "batch_size", lambda _: 16)
    draw_file(model, facts, chosen, tmp_path / "a.npz")
    samples, labels = read_npz(tmp_path / "a.npz")
    whole = to_uint8(draw(model, chosen)).astype(int)
    assert np.abs(samples.astype(int) - whole).max() <= 1
    assert labels == [str(i % 10) for i in range(40)]
    assert [p.name for p in tmp_path.glob("*a.npz*")] == ["a.npz"]


def test_a_kill_keeps_the_finished_pieces(tmp_path, monkeypatch, small):
    model, facts, chosen = small
    monkeypatch.setattr(drawing_module, "batch_size", lambda _: 16)
    draw_file(model, facts, chosen, tmp_path / "whole.npz")
    drawn = []
    original = sampling_module.walk

    def killed(diffusion, plan, first, num):
        if first == 32 and len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(first)
        return original(diffusion, plan, first, num)

    monkeypatch.setattr(sampling_module, "walk", killed)
    with pytest.raises(KeyboardInterrupt):
        draw_file(model, facts, chosen, tmp_path / "b.npz")
    parts = tmp_path / ".b.npz.parts"
    assert sorted(p.name for p in parts.iterdir()) == ["00000000.npy", "00000016.npy", "plan.json"]
    cut = parts / "00000016.npy"
    cut.write_bytes(cut.read_bytes()[:-100])
    drawn.append("on")
    draw_file(model, facts, chosen, tmp_path / "b.npz")
    assert drawn == [0, 16, "on", 16, 32]
    one, other = (read_npz(tmp_path / n)[0] for n in ("whole.npz", "b.npz"))
    np.testing.assert_array_equal(one, other)


def test_pieces_of_another_plan_are_thrown_away(tmp_path, monkeypatch, small):
    model, facts, chosen = small
    monkeypatch.setattr(drawing_module, "batch_size", lambda _: 16)
    out = tmp_path / "c.npz"
    parts = tmp_path / ".c.npz.parts"
    parts.mkdir()
    drawing_module._prepare(parts, {**drawing_module.origin(model, chosen), "batch": 16})
    np.save(parts / "00000000.npy", np.ones((16, 1, 8, 8), np.float32))
    stale = json.loads((parts / "plan.json").read_text())
    (parts / "plan.json").write_text(json.dumps(stale | {"seed": 9}))
    draw_file(model, facts, chosen, out)
    assert read_npz(out)[0][:16].std() > 0
