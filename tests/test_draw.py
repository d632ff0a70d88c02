"""Drawing in pieces, what files hold of samples, and the scores of images."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from denoising_diffusion.config import Sampling
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.files import as_npz, write
from denoising_diffusion.kinds import Scoring, image_scores
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.kinds.points import Points
from denoising_diffusion.metrics import to_json
from denoising_diffusion.recipes import recipe
from denoising_diffusion.report import to_uint8
from denoising_diffusion.run import Run, draw
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.request import completed


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def real(digits):
    return whole(digits.validation)[0]


def names_of(digits, shift=0):
    return [digits.class_names[(int(k) - 1 + shift) % 10] for k in whole(digits.validation)[1]]


def scored(digits, x, names=None, how=Scoring()):  # noqa: B008
    return to_json(Images(facts_of(digits)).scores(x, names, digits, how).scores)


@pytest.fixture
def confusions(monkeypatch):
    """The confusion matrices that were drawn."""
    drawn = []
    plot = image_scores.plot_confusion.drawing
    monkeypatch.setattr(
        image_scores.plot_confusion, "drawing", lambda m, names: drawn.append(m) or plot(m, names)
    )
    return drawn


@pytest.mark.slow
def test_scores_of_real_images_and_of_spoilt_ones(digits, real, confusions):
    scores = scored(digits, real, names_of(digits), Scoring(2, classic=True))
    assert scores["fld"] < 1e-9
    assert scores["label_agreement"] == scores["classifier_accuracy"]
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1
    assert scores["proportion_error"] < 1e-3
    assert scores["memorisation_pixels"] == scores["memorisation_features"] == 1
    assert len(scores["fld_by_classifier"]) == 2
    assert 0 < scores["classic"]["fld"] < scores["floor"] < scores["classic"]["random"]
    assert confusions[0].sum() == len(real)

    copies = scored(digits, whole(digits.train)[0][: len(real)])
    assert copies["memorisation_pixels"] == 0
    assert copies["fld"] == copies["floor"]
    assert copies["label_agreement"] is None

    before = 0.0
    for strength in (0.2, 0.5, 1.0):
        noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
        spoilt = scored(digits, (real + strength * noise).clamp(-1, 1))
        assert spoilt["fld"] > before
        before = spoilt["fld"]


@pytest.mark.slow
def test_mixed_and_wrong_labels_are_told_apart(digits, real, confusions):
    wrong = names_of(digits, shift=1)
    assert scored(digits, real, wrong)["label_agreement"] < 0.05
    scored(digits, real, [n if i % 2 else "none" for i, n in enumerate(wrong)])
    assert confusions[1].sum() == len(real) // 2


def test_the_bytes_of_images_come_back_as_they_were(digits, real):
    kind = Images(facts_of(digits))
    levels = torch.arange(256).repeat(3).view(12, 8, 8, 1).to(torch.uint8).numpy()
    np.testing.assert_array_equal(kind.encode(kind.decode(levels)), levels)
    torch.testing.assert_close(kind.decode(kind.encode(real)), real, rtol=0, atol=1.001 / 255)
    with pytest.raises(ValueError, match=r"must be uint8 \(n, h, w, c\), got float32 \(2, 8, 8, 1"):
        kind.decode(np.zeros((2, 8, 8, 1), np.float32))


def test_points_are_kept_in_their_own_units_and_come_back(tmp_path):
    rows = np.random.default_rng(0).normal([100.0, 0.5], [14, 0.07], (50, 2))
    np.save(tmp_path / "mine.npy", rows)
    data = load_dataset("points", path=tmp_path / "mine.npy")
    kind, (x,) = Points(facts_of(data)), whole(data.train)
    stored = kind.encode(x)
    assert stored.dtype == np.float64
    nearest = np.abs(stored[:, None] - rows[None]).max(-1).min(1)
    assert nearest.max() < 1e-4
    torch.testing.assert_close(kind.decode(stored), x, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"must be float \(n, d\), got int64 \(3,\)"):
        kind.decode(np.arange(3))


@pytest.fixture
def small(tmp_path, digits):
    """An untrained digits model, and a request for 40 samples in five steps."""
    config = recipe("digits")
    config = replace(
        config,
        network={**config.network, "model_channels": 8},
        training=replace(config.training, precision="float32"),
        facts=facts_of(digits),
    )
    run = Run(tmp_path / "run")
    run.create(config)
    model = build_diffusion(config).eval().requires_grad_(False)
    return run, model, completed(run, Sampling("ddim", steps=5, eta=1.0, num=40))


@pytest.fixture
def in_pieces(monkeypatch):
    """Draw 16 samples at a time."""
    monkeypatch.setattr(draw, "_batch", lambda run, model: 16)


def read(file):
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def test_pieces_make_the_file_that_one_go_makes(tmp_path, monkeypatch, small):
    whole = to_uint8(draw.draw(*small)).astype(int)
    monkeypatch.setattr(draw, "_batch", lambda run, model: 16)
    draw.draw_file(*small, tmp_path / "a.npz")
    arrays = read(tmp_path / "a.npz")
    assert np.abs(arrays["samples"].astype(int) - whole).max() <= 1
    assert arrays["labels"].tolist() == [str(i % 10) for i in range(40)]
    assert arrays["seeds"].tolist() == [[0, i] for i in range(40)]
    assert [p.name for p in tmp_path.glob("*a.npz*")] == ["a.npz"]


def test_a_kill_keeps_the_finished_pieces(tmp_path, monkeypatch, small, in_pieces):
    draw.draw_file(*small, tmp_path / "whole.npz")
    drawn = []
    original = draw.walk

    def killed(run, model, wish, first, num, given):
        if first == 32 and len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(first)
        return original(run, model, wish, first, num, given)

    monkeypatch.setattr(draw, "walk", killed)
    with pytest.raises(KeyboardInterrupt):
        draw.draw_file(*small, tmp_path / "b.npz")
    parts = tmp_path / ".b.npz.parts"
    kept = ["00000000.npz", "00000016.npz", "request.json"]
    assert sorted(p.name for p in parts.iterdir()) == kept
    cut = parts / "00000016.npz"
    cut.write_bytes(cut.read_bytes()[:-100])
    drawn.append("on")
    draw.draw_file(*small, tmp_path / "b.npz")
    assert drawn == [0, 16, "on", 16, 32]
    one, other = (read(tmp_path / n)["samples"] for n in ("whole.npz", "b.npz"))
    np.testing.assert_array_equal(one, other)
    assert not parts.exists()


@pytest.mark.parametrize(
    "stale", [{"request": {"seed": 9}}, {"weights": "0"}, {"precision": "bfloat16"}, {"batch": 8}]
)
def test_pieces_of_another_request_are_thrown_away(tmp_path, small, in_pieces, stale):
    parts = tmp_path / ".c.npz.parts"
    wanted = {**draw.origin(*small), "batch": 16}
    draw.prepare_parts(parts, wanted)
    request = wanted["request"] | stale.get("request", {})
    (parts / "request.json").write_text(json.dumps(wanted | stale | {"request": request}))
    write(parts / "00000000.npz", as_npz({"x": np.ones((16, 1, 8, 8), np.float32)}))
    draw.draw_file(*small, tmp_path / "c.npz")
    assert read(tmp_path / "c.npz")["samples"][:16].std() > 0
