import json
import math

import numpy as np
import pytest
import torch

from denoising_diffusion import load_dataset, stream, whole
from denoising_diffusion.data.signals import MIXTURES, expected_spectrum, make_sines
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.signals import Signals, power_spectrum, spectrum_error
from denoising_diffusion.metrics.score import to_json
from denoising_diffusion.run import Run
from denoising_diffusion.run.prepare import facts_of
from test_runs import ddpm


@pytest.mark.parametrize("length", [32, 64, 65])
def test_the_spectrum_of_noiseless_sines_is_the_closed_form(length):
    x, classes = make_sines(9, length, 0.0, stream(0, "x"))
    for k, name in enumerate(MIXTURES):
        found = power_spectrum(x[classes == k])[0]
        expected = expected_spectrum(name, length, 0.0)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_power_spectrum_keeps_the_energy():
    x = torch.randn(5, 2, 64, dtype=torch.float64)
    power = power_spectrum(x)
    # Parseval: all frequencies but the first and the last stand for two.
    total = 2 * power.sum(1) - power[:, 0] - power[:, -1]
    torch.testing.assert_close(total, x.square().sum(-1).mean(0), rtol=1e-12, atol=0)


def test_noisy_sines_have_the_expected_spectrum_within_their_error():
    x, classes = make_sines(6000, generator=stream(0, "x"))
    for k, name in enumerate(MIXTURES):
        expected = expected_spectrum(name)
        found = power_spectrum(x[classes == k])[0]
        # |DFT|² of white noise alone has a standard deviation as large as its mean.
        quiet = expected < 0.011
        assert quiet.sum() > 25
        bound = 6 * expected[quiet] * math.sqrt(2 / 2000)
        assert ((found - expected)[quiet].abs() < bound).all()
        torch.testing.assert_close(found[~quiet], expected[~quiet], rtol=0.01, atol=0)


def test_the_error_of_twice_the_signal_is_three():
    x = torch.randn(7, 1, 32)
    assert spectrum_error(2 * x, x) == pytest.approx(3, rel=1e-6)
    assert spectrum_error(x, x) == 0


def data_and_kind(**options):
    data = load_dataset("sines", size=600, **options)
    return data, Signals(facts_of(data))


def test_scores_tell_data_from_another_class():
    data, kind = data_and_kind()
    x, labels = whole(data.train)
    names = [data.class_names[k - 1] for k in labels.tolist()]
    good = to_json(kind.scores(x, names, data, Scoring()).scores)
    assert good["spectrum_error"] == pytest.approx(good["floor"], rel=1e-6)
    assert good["spectrum_error"] < 0.1
    assert set(good["classes"]) == set(MIXTURES)
    assert set(good["classes"]["low"]) == {"spectrum_error", "floor"}
    wrong = to_json(kind.scores(x, names[1:] + names[:1], data, Scoring()).scores)
    assert wrong["spectrum_error"] > 0.8


def test_what_a_file_holds_comes_back():
    data, kind = data_and_kind()
    x = whole(data.train)[0][:9]
    stored = kind.encode(x)
    assert stored.dtype == np.float32
    sine = stored[0, 0]
    assert np.abs(np.fft.rfft(sine)[2]) / 32 == pytest.approx(1, abs=0.1)
    torch.testing.assert_close(kind.decode(stored), x, rtol=1e-5, atol=1e-6)


def test_labels_are_shifted_and_held_out_signals_are_others():
    data, _ = data_and_kind()
    x, labels = whole(data.train)
    assert labels[:4].tolist() == [1, 2, 3, 1]
    assert x.double().std().item() == pytest.approx(1, abs=1e-6)
    assert not torch.equal(x[:60], whole(data.validation)[0])


def test_own_signals_are_read_scaled_and_scored(tmp_path):
    own = np.random.default_rng(0).normal(5, 3, (40, 2, 16))
    np.save(tmp_path / "own.npy", own)
    data = load_dataset("signals", path=tmp_path / "own.npy")
    x = whole(data.train)[0]
    assert data.shape == (2, 16)
    assert not data.labelled
    back = data.to_data(x)
    assert back.double().mean().item() == pytest.approx(data.shift[0], rel=1e-5)
    rows = {tuple(np.round(r.ravel(), 3)) for r in own}
    assert all(tuple(np.round(r.ravel(), 3)) in rows for r in back.double().numpy())
    scores = Signals(facts_of(data)).scores(x, None, data, Scoring()).scores
    assert scores[0].value == pytest.approx(scores[0].beside["floor"])


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((40, 16)), "the signals are constant"),
        (np.zeros((5, 16)), r"n >= 10, got \(5, 16\)"),
        (np.zeros(40), r"expected \(n, length\)"),
        (np.full((40, 16), np.nan), "not finite"),
        (np.array([["a"] * 16] * 40), "not numeric"),
    ],
)
def test_other_files_are_refused(tmp_path, array, text):
    np.save(tmp_path / "own.npy", array)
    with pytest.raises(ValueError, match=text):
        load_dataset("signals", path=tmp_path / "own.npy")


def test_a_file_that_is_missing_or_no_npy_is_refused(tmp_path):
    (tmp_path / "own.npy").write_text("text")
    for path in (tmp_path / "none.npy", tmp_path / "own.npy"):
        with pytest.raises(ValueError, match="no .npy file of numbers"):
            load_dataset("signals", path=path)
    with pytest.raises(ValueError, match="needs the path"):
        load_dataset("signals")


@pytest.mark.slow
def test_a_run_of_signals_from_data_to_score(tmp_path):
    small = {
        "data": {"size": 300},
        "network": {"model_channels": 8, "channel_multipliers": [1, 2]},
        "schedule": {"timesteps": 10},
        "training": {"epochs": 2, "warmup_steps": 0},
        "sampling": {"num": 30, "steps": 3},
    }
    (tmp_path / "small.json").write_text(json.dumps(small))
    done = ddpm("train", "signals", "--config", "small.json", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "error of the spectrum" in done.stdout
    run = Run(tmp_path / "run")
    assert run.facts.kind == "signals"
    assert run.facts.shape == (1, 64)
    done = ddpm("sample", "run", "--label", "chord", "--num", 4, "--out", "s.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["samples"].shape == (4, 1, 64)
        assert file["labels"].tolist() == ["chord"] * 4
    done = ddpm("sample", "run", "--grid", "label×guidance", cwd=tmp_path)
    assert done.returncode == 2
    assert "this run has signals" in done.stderr
