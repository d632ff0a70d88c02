"""Runs that take the minutes asked for: the arithmetic, and whole runs under a clock of our own."""

import dataclasses
import itertools
import math
import re
import warnings
from functools import partial

import pytest
import torch

from denoising_diffusion.cli import main
from denoising_diffusion.files import read_tensors
from denoising_diffusion.kinds.points import Points
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run, rehearse, score
from denoising_diffusion.run import train as training
from denoising_diffusion.run.build import build_diffusion
from denoising_diffusion.run.draw import read_samples
from denoising_diffusion.run.loop import Trainer
from denoising_diffusion.run.plan import LEAST_STEPS, Costs, about_plan, as_stored, planned
from denoising_diffusion.run.prepare import facts_of, learned, load_data
from denoising_diffusion.run.stop import Interrupted


def tiny(minutes, size=2_000, **changes):
    config = recipe("spiral")
    options = {"batch_size": 100, "warmup_steps": 50, "minutes": minutes, **changes}
    return dataclasses.replace(
        config,
        data={**config.data, "size": size},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(config.training, **options),
        sampling=dataclasses.replace(config.sampling, num=600),
    )


def with_facts(config):
    return dataclasses.replace(config, facts=facts_of(load_data(config.data)))


COSTS = Costs(0.5, 2.0, 1.0, {"pictures": 7.0, "600 samples": 9.0, "scores": 11.0, "report": 5.0})


def seconds(config, costs):
    """What a planned run takes after step 0."""
    t = config.training
    previews = min(10, t.epochs) * costs.preview
    train = config.total_steps * costs.step + t.epochs * costs.epoch
    return previews + train + sum(costs.ending.values())


def test_the_parts_fill_the_minutes():
    config = with_facts(tiny(1.0))
    for minutes, step, epoch, spent in itertools.product(
        (5.0, 7.3, 60.0, 1000.0), (0.001, 0.0317, 0.5), (0.0, 0.2, 2.0), (0.0, 40.0)
    ):
        own = dataclasses.replace(
            config, training=dataclasses.replace(config.training, minutes=minutes)
        )
        costs = COSTS._replace(step=step, epoch=epoch)
        found = planned(own, costs, spent)
        left = 60 * minutes - spent - seconds(found, costs)
        epochs = found.training.epochs
        whole = found.epoch_size / 100 * step + epoch
        assert -1e-6 < left < (whole if epochs >= 20 else epochs * step) + 1e-6
        if epochs >= 20:
            assert found.training.epoch_size is None
        assert epochs >= 10 or (epochs + 1) * epoch > 0.1 * (left + epochs * whole)
        assert found.total_steps == epochs * found.epoch_size / 100 >= LEAST_STEPS
        assert found.training.warmup_steps == min(50, found.total_steps // 10)
        decided = ("epochs", "epoch_size", "warmup_steps")
        same = {name: getattr(own.training, name) for name in decided}
        assert dataclasses.replace(found.training, **same) == own.training


def test_the_arithmetic_by_hand():
    # 5 minutes less 20 s until now, 10 of previews, 32 that end it: 238 s for training. An epoch
    # of 20 steps takes 12 s: 19 fit, with 200 s for steps, 21 to each of 19 epochs.
    found = planned(with_facts(tiny(5.0)), COSTS, 20.0)
    assert (found.training.epochs, found.training.epoch_size, found.total_steps) == (19, 2100, 399)
    # Of a fifth of the data's epoch ten are made; what ends them takes 20 s of these 218.
    large = with_facts(tiny(5.0, size=200_000))
    found = planned(large, COSTS._replace(epoch=2.0), 40.0)
    assert (found.training.epochs, found.training.epoch_size, found.total_steps) == (10, 3900, 390)
    # Where that would be too much of it, fewer: 5 s of at most 21.8.
    found = planned(large, COSTS._replace(epoch=5.0), 40.0)
    assert (found.training.epochs, found.total_steps) == (4, 396)
    assert (
        "4 epochs of 9,900 examples, 396 steps: 40 s until now, 10 s of previews, 7 s of pic"
        in (about_plan(found, COSTS._replace(epoch=5.0), 40.0))
    )
    kept = dataclasses.replace(large, training=dataclasses.replace(large.training, snapshot=3))
    assert planned(kept, COSTS, 40.0).training.snapshot == 2  # the same share of the epochs


def test_too_few_minutes_are_refused_with_the_least_that_does():
    config = with_facts(tiny(1.0))
    with pytest.raises(ValueError, match="minutes must be at least") as error:
        planned(config, COSTS, 20.0)
    told = str(error.value)
    least = float(re.search("at least ([0-9.]+)", told)[1])
    # 20 + 10 + 32 + 52 s, and a twentieth more.
    assert least == math.ceil(10 * 1.05 * 114 / 60) / 10
    assert "20 s until now, 10 s of previews, 7 s of pictures" in told
    enough = dataclasses.replace(config.training, minutes=least)
    found = planned(dataclasses.replace(config, training=enough), COSTS, 20.0)
    assert found.total_steps >= LEAST_STEPS


def undrawn(patch):
    for name in ("preview", "draw_pictures", "write_report"):
        patch.setattr(training, name, lambda *_: None)


class Simulated:
    """A clock that moves by what each part is said to cost, beside the true work.

    What is drawn to be looked at is not.
    """

    def __init__(self, patch):
        self.now = 0.0
        steps = Trainer.steps

        def walked(trainer):
            for step in steps(trainer):
                self.now += 1.0
                yield step

        patch.setattr(Trainer, "steps", walked)
        patch.setattr(Points, "batch", lambda *_: 256)
        self.takes(patch, Trainer, "held_out_loss", lambda *_: 0.75)
        self.takes(patch, Trainer, "keep", lambda *_: 0.5)
        for module in (rehearse, training):
            self.takes(patch, module, "preview", lambda *_: 1.5, drawn=False)
            self.takes(patch, module, "draw_pictures", lambda *_: 7.0, drawn=False)
            self.takes(patch, module, "write_report", lambda *_: 5.0, drawn=False)
            self.takes(patch, module, "score", lambda run, model, wish, *_: 3 + 0.02 * wish.num)
        pieces = [256, 256, 88]
        for module in (rehearse, score):
            self.takes(
                patch,
                module,
                "draw_file",
                lambda run, model, wish, *_: sum(
                    1 + n / 128 for n in (pieces if wish.num == 600 else [wish.num])
                ),
            )

    def takes(self, patch, place, name, cost, drawn=True):
        true = getattr(place, name) if drawn else lambda *_: None

        def slow(*args):
            self.now += cost(*args)
            return true(*args)

        patch.setattr(place, name, slow)

    def __call__(self):
        return self.now


def test_a_whole_run_takes_the_minutes_asked_for(tmp_path, monkeypatch):
    said = []
    with monkeypatch.context() as patch:
        clock = Simulated(patch)
        plan = partial(training.plan_run, clock=clock)
        patch.setattr(training, "plan_run", plan)
        found = training.train_run(tiny(4.0), tmp_path / "run", begun=-2.0, say=said.append)
        taken = clock.now + 2
    assert "sliced Wasserstein" in found.table
    run = Run(tmp_path / "run")
    epochs = run.config.training.epochs
    assert 240 - epochs < taken <= 240
    (line,) = [text for text in said if text.startswith("4 minutes are")]
    assert f"{epochs} epochs of {run.config.epoch_size:,} examples" in line
    assert re.search(r"8 s of 600 samples, 15 s of scores, 5 s of report, \d+ s of training$", line)
    assert said.index(line) < said.index(next(t for t in said if ", step 0 of " in t))
    assert len(run.history.read()) == epochs
    assert run.history.read()[-1]["lr"] < 1e-12  # it decays to the planned end
    # It is the run that its configuration says, to the bit.
    plain = dataclasses.replace(run.config, facts=None)
    plain = dataclasses.replace(plain, training=dataclasses.replace(plain.training, minutes=None))
    undrawn(monkeypatch)
    training.train_run(plain, tmp_path / "plain", evaluate=False)
    one, two = (read_tensors(Run(tmp_path / n).model_file).tensors for n in ("run", "plain"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_same_command_goes_on_as_planned(tmp_path, monkeypatch):
    true, calls = Run.write_checkpoint, []
    costs = Costs(0.02, 0.0, 0.0, {"report": 1.0})
    undrawn(monkeypatch)
    monkeypatch.setattr(rehearse, "rehearsed", lambda *_, **__: calls.append("plan") or costs)

    def dies(self, *args):
        true(self, *args)
        raise Interrupted("stopped")

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Run, "write_checkpoint", dies)
        training.train_run(tiny(0.1), tmp_path / "run", evaluate=False)
    stored = Run(tmp_path / "run").config
    assert stored.training.minutes == 0.1
    assert as_stored(with_facts(tiny(0.1)), stored).training == stored.training
    training.train_run(tiny(0.1), tmp_path / "run", evaluate=False)
    assert calls == ["plan"]
    assert Run(tmp_path / "run").config == stored
    assert Run(tmp_path / "run").finished
    with pytest.raises(ValueError, match="another configuration: training.epochs differs"):
        training.train_run(tiny(0.2), tmp_path / "run", evaluate=False)


def test_images_are_rehearsed_with_all_their_parts(monkeypatch):
    scored = {}

    def score(run, model, wish, data, file):
        x, names = read_samples(run.kind, file)
        rows = torch.arange(wish.num) % len(data.reference)
        real, labels = data.reference[rows]
        assert torch.allclose(x, real, atol=1 / 127)
        assert names == run.kind.label_names(labels)
        scored[wish.num] = scored.get(wish.num, 0) + 1

    monkeypatch.setattr(rehearse, "score", score)
    config = recipe("digits")
    small = {**config.network, "model_channels": 8, "channel_multipliers": [1, 2]}
    train = dataclasses.replace(config.training, minutes=1e-3, precision="float32")
    sampling = dataclasses.replace(config.sampling, steps=2, num=300)
    config = with_facts(
        dataclasses.replace(config, network=small, training=train, sampling=sampling)
    )
    data = load_data(config.data)
    model = build_diffusion(config)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    ticks = itertools.count()
    costs = rehearse.rehearsed(config, model, data, lambda: float(next(ticks)), evaluate=True)
    assert list(costs.ending) == ["pictures", "300 samples", "scores", "report"]
    # Whatever is done between two looks at this clock takes a second.
    assert costs.ending == {"pictures": 1, "300 samples": 1, "scores": 1, "report": 1}
    assert scored == {32: 2, 64: 1}
    assert (costs.epoch, costs.preview) == (1, 1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert learned(config, data).class_names


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--minutes", "0.001"], "minutes must be at least"),
        (["--minutes", "0"], "minutes must be a finite number above 0, got 0"),
        (["--minutes", "1", "--epochs", "2"], "--minutes decides the epochs: it takes no --epochs"),
        (["--minutes", "1", "--training.epochs", "2"], "--minutes decides the epochs"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys, arguments, text
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    small = ["--data.size", "300", "--schedule.timesteps", "2", "--no-evaluate", "--out", "run"]
    with pytest.raises(SystemExit) as end:
        main(["train", "spiral", *small, *arguments])
    assert end.value.code == 2
    assert text in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
