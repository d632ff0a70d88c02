"""The judges that come with the package, and what samples are compared with."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from reference_judges import SEEDS, SPOILT, scale

import denoising_diffusion.metrics.encoder as encoder_module
import denoising_diffusion.metrics.judge as judge_module
from denoising_diffusion import files
from denoising_diffusion.data import load_dataset, whole
from denoising_diffusion.data.known import NotHere
from denoising_diffusion.data.rows import in_memory
from denoising_diffusion.kinds import Scoring, image_scores
from denoising_diffusion.kinds.images import Images
from denoising_diffusion.metrics import FeatureStatistics, frechet_distance, to_json
from denoising_diffusion.metrics import reference as module
from denoising_diffusion.metrics.judge import judge, split_of
from denoising_diffusion.metrics.reference import FOLDER, reference_judge, reference_of
from denoising_diffusion.run import Run
from denoising_diffusion.run.prepare import facts_of
from denoising_diffusion.run.score import evaluation_origin, score_picture
from test_idx import needs_mnist

NAMES = sorted(file.stem for file in FOLDER.glob("*.json"))
NOTE = files.read_json(FOLDER / "mnist.json")


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_that_are_written_down(name):
    note, file = files.read_json(FOLDER / f"{name}.json"), FOLDER / f"{name}.safetensors"
    assert (note["data"], note["network"]) == (name, "LeNet5")
    assert note["command"] == f"python benchmarks/reference_judges.py {name}"
    assert files.digest(file) == note["file"]
    assert files.digest_of_tensors(files.read_tensors(file).tensors) == note["weights"]
    assert reference_of(note["fingerprint"]) == note
    found = reference_judge(note["fingerprint"], (1, 28, 28), 10)
    assert found.name == f"reference {name}, LeNet5 {note['weights'][:12]}"


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_in_the_middle_of_ten_and_not_the_kinder_one(name):
    note = files.read_json(FOLDER / f"{name}.json")
    judges = note["judges"]
    assert [j["seed"] for j in judges] == list(range(SEEDS))
    for each in judges:
        logs = [math.log(each["distances"][kind]) for kind in SPOILT]
        assert each["scale"] == scale(each["distances"]) == pytest.approx(sum(logs) / len(logs))
    kinder = [j for j in judges if j["scale"] < judges[note["seed"]]["scale"]]
    assert len(kinder) == SEEDS // 2
    assert note["accuracy"] == judges[note["seed"]]["accuracy"]


@needs_mnist
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_reads_the_first_test_images_as_written_down(name, monkeypatch):
    monkeypatch.setenv("DDPM_OFFLINE", "1")
    try:
        data = load_dataset(name)
    except NotHere as missing:
        pytest.skip(str(missing))
    note = reference_of(data.fingerprint)
    x, labels = data.reference[torch.arange(1000)]
    found = reference_judge(data.fingerprint, data.shape, len(data.class_names))
    assert found.tested(x, labels - 1).accuracy == note["accuracy_of_the_first_1000"]
    assert split_of(whole(data.train)[1] - 1) == note["split"]


# Whose data they judge


def drawn(n, seed, shape=(1, 28, 28), classes=10):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=generator) * 2 - 1, torch.arange(n) % classes


def small(fingerprint=NOTE["fingerprint"], **options):
    """Random images that pass for MNIST."""
    parts = [drawn(n, seed, **options) for n, seed in ((90, 0), (40, 1), (60, 2))]
    names = tuple("0123456789"[: options.get("classes", 10)])
    return in_memory(
        "mnist", "images", *parts, class_names=names, clip=(-1.0, 1.0), fingerprint=fingerprint
    )


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_):
        raise AssertionError("something was trained")

    monkeypatch.setattr(judge_module, "_train", refuse)
    monkeypatch.setattr(encoder_module, "_train", refuse)


@pytest.fixture
def brief(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("_SMALL", "_LENET"):
        course = replace(getattr(judge_module, name), epochs=0, least_steps=2)
        monkeypatch.setattr(judge_module, name, course)
    course = replace(encoder_module._COURSE, steps=2)
    monkeypatch.setattr(encoder_module, "_COURSE", course)


def scored(data, x, how=Scoring()):  # noqa: B008
    """Scores as JSON, and the judge."""
    found = Images(facts_of(data)).scores(x, None, how.of(data), how)
    return to_json(found.scores), found.judge


def distance(x, y):
    """That of images, in the features of the reference."""
    found = reference_judge(NOTE["fingerprint"], (1, 28, 28), 10)
    a, b = (FeatureStatistics.from_features(found.features(v)) for v in (x, y))
    return frechet_distance(a, b)


def test_known_data_are_judged_by_the_reference_and_nothing_is_trained(no_training):
    data, (x, _) = small(), drawn(30, 3)
    scores, by = scored(data, x)
    assert by == f"reference mnist, LeNet5 {NOTE['weights'][:12]}"
    train, held_out, test = (whole(p)[0] for p in (data.train, data.validation, data.test))
    assert scores["fld"] == pytest.approx(distance(x, test), rel=1e-9)
    assert scores["floor"] == pytest.approx(distance(train[:30], test), rel=1e-9)
    assert scores["kid"] is not None and "frechet" not in scores  # in its features
    with pytest.MonkeyPatch.context() as patch:  # what the reference never saw is held out
        patch.setattr(image_scores, "split_of", lambda _: NOTE["split"])
        scores, by = scored(data, x, Scoring(against="held-out"))
    assert by.startswith("reference mnist")
    assert scores["fld"] == pytest.approx(distance(x, held_out), rel=1e-9)
    assert scores["floor"] == pytest.approx(distance(train[:30], held_out), rel=1e-9)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (small("0" * 64), Scoring()),  # any other data
        (small(shape=(1, 7, 7)), Scoring()),
        (small(shape=(3, 28, 28)), Scoring()),
        (small(classes=4), Scoring()),
        (small(), Scoring(1)),  # own ones were asked for
        (small(), Scoring(against="held-out")),  # of a split that the reference may have learned
    ],
    ids=["content", "size", "colour", "classes", "own", "split"],
)
def test_other_data_are_judged_by_classifiers_of_their_own(brief, data, how):
    scores, by = scored(data, drawn(30, 3, data.shape)[0], how)
    assert by.startswith(("own LeNet5, seed 0", "own SmallClassifier, seed 0"))
    assert scores["fld"] > 0


def test_several_own_ones_say_which_is_the_median(brief):
    scores, by = scored(small(), drawn(30, 3)[0], Scoring(3))
    seed = scores["fld_by_classifier"].index(scores["fld"])
    assert by.startswith(f"own LeNet5, seed {seed} of 0..2")
    unlabelled = small().without_labels()
    assert scored(unlabelled, drawn(30, 3)[0])[1] == "own encoder, seed 0"


def test_a_kept_classifier_is_tested_on_what_is_compared_with(brief, monkeypatch):
    data, trained = small("1" * 64), []
    own = judge_module._train
    monkeypatch.setattr(judge_module, "_train", lambda *a: trained.append(own(*a)))
    (x, labels), seen = whole(data.train), [whole(data.test), whole(data.validation)]
    for y, expected in seen:
        found = judge(x, labels - 1, 10, y, expected - 1, fingerprint=data.fingerprint)
        right = (found.read(y) == expected - 1).double().mean().item()
        assert found.accuracy == right
    assert len(trained) == 1


def test_weights_of_another_judge_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    shutil.copy(FOLDER / "mnist.json", tmp_path)
    with pytest.raises(ValueError, match=r"mnist\.safetensors: no such file"):
        reference_judge(NOTE["fingerprint"], (1, 28, 28), 10)
    stored = files.read_tensors(FOLDER / "mnist.safetensors")
    stored.tensors["head.bias"] += 1e-3
    files.write_tensors(tmp_path / "mnist.safetensors", stored.tensors, {})
    with pytest.raises(ValueError, match=r"mnist\.safetensors is not the judge of mnist\.json"):
        reference_judge(NOTE["fingerprint"], (1, 28, 28), 10)


def test_what_is_compared_with_is_part_of_the_origin_and_of_the_names(tmp_path, monkeypatch):
    monkeypatch.setattr("denoising_diffusion.run.score.origin", lambda *_: {"weights": "w"})
    run = Run(tmp_path)

    def of(data, how=Scoring()):  # noqa: B008
        return json.dumps(evaluation_origin(run, None, None, data, how), sort_keys=True)

    hows = (Scoring(), Scoring(1), Scoring(3), Scoring(against="held-out"), Scoring(classic=True))
    assert len({of(small(), how) for how in hows}) == len(hows)
    assert NOTE["weights"] in of(small()) and NOTE["weights"] not in of(small("0" * 64))
    file = tmp_path / "evaluation-0.npz"
    named = [score_picture(file, "nearest", how).name for how in (None, *hows[::3])]
    assert named == [
        "evaluation-0-nearest.png",
        "evaluation-0-nearest.png",
        "evaluation-0-held-out-nearest.png",
    ]
    with pytest.raises(ValueError, match="against must be one of"):
        Scoring(against="train")
