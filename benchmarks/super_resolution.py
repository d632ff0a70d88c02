"""What super-resolution of MNIST is worth: figures that are too long in the making for `ddpm`.

    python benchmarks/super_resolution.py FOLDER [STEP ...] [--epochs N] [--num N] [--threads N]

Steps, all of them without a name, each of which prints a line of JSON:

- sr: trains `numbers-sr` and scores it, as `ddpm train` does.
- regression: the same network, trained as long to answer with the mean, in place of samples.
- low: trains `numbers-low`.
- cascade: the Fréchet distance of what `low` draws and `numbers-sr` enlarges, at several levels of
  noise, and that of enlarged test pictures.
- direct: that of `ddpm train numbers`, whose run is looked for in FOLDER/numbers.

A step that was interrupted goes on where it was. MNIST is found as for `ddpm train numbers`.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from denoising_diffusion import (
    FeatureStatistics,
    Run,
    frechet_with_error,
    load_dataset,
    recipe,
    stream,
    train,
    whole,
)
from denoising_diffusion.checks import one_of
from denoising_diffusion.config import PER_INPUT, Sampling
from denoising_diffusion.kinds import Scoring
from denoising_diffusion.kinds.enlarged import enlarged_scores
from denoising_diffusion.kinds.image_scores import judges_for
from denoising_diffusion.loss import autocast
from denoising_diffusion.run.build import build_network
from denoising_diffusion.run.draw import draw
from denoising_diffusion.run.inputs import Inputs, of_pictures
from denoising_diffusion.run.request import completed
from denoising_diffusion.run.train import train_run
from denoising_diffusion.super_resolution import low_resolution, pooled

FACTOR = 4
LEVELS = [0.0, 0.1]


def trained(folder: Path, epochs: int | None) -> Run:
    """The super-resolution run, trained and scored."""
    config = recipe("numbers-sr")
    epochs = epochs or config.training.epochs
    config = replace(config, training=replace(config.training, epochs=epochs))
    train_run(config, folder / "numbers-sr", say=print)
    return Run(folder / "numbers-sr")


def regression(run: Run) -> dict[str, object]:
    """The scores of a network that answers with one picture, of the same size, data and steps."""
    config = run.config
    network = build_network(config, 100)
    means = low_resolution(FACTOR, noise=0, dropout=0)

    def answer(low: Tensor, level: Tensor) -> Tensor:
        x = low.new_zeros(len(low), *run.facts.shape)
        return network(x, low.new_ones(len(low)), low, level).float()

    def loss(_: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        with autocast(config.training.precision, batch[0].device):
            return (answer(*means(batch[:1], generator)) - batch[0]).square().mean()

    c, total = config.training, config.total_steps
    steps = train(
        network,
        loss,
        run.data.without_labels().train,
        torch.optim.Adam(network.parameters(), lr=c.learning_rate),
        steps=total,
        batch_size=c.batch_size,
        seed=c.seed,
        learning_rate=lambda k: (
            c.learning_rate * min(1, k / 300) * 0.5 * (1 + np.cos(np.pi * k / total))
        ),
        max_grad_norm=c.max_grad_norm,
    )
    begin = time.monotonic()
    for _ in steps:
        pass
    seconds = time.monotonic() - begin
    truth = whole(run.data.reference)[0][: (config.sampling.num or 0) // PER_INPUT]
    low = pooled(truth, FACTOR)
    with torch.no_grad():
        answers = torch.cat([answer(x, x.new_zeros(len(x))) for x in low.split(500)])
    found = {s.key: s.value for s in enlarged_scores(answers.clamp(-1, 1), truth, FACTOR)}
    return {"psnr": found["psnr"], "ssim": found["ssim"], "seconds": seconds, "steps": total}


def trained_low(folder: Path, epochs: int | None) -> Run:
    """The first model of the cascade, trained."""
    config = recipe("numbers-low")
    epochs = epochs or config.training.epochs
    config = replace(config, training=replace(config.training, epochs=epochs))
    train_run(config, folder / "numbers-low", evaluate=False, say=print)
    return Run(folder / "numbers-low")


class Frechet:
    """The Fréchet distance from MNIST's test images, in the features of the library's judge."""

    def __init__(self) -> None:
        data = load_dataset("mnist")
        self.test = whole(data.reference)
        real = (self.test[0], self.test[1] - 1)
        self.judge = judges_for(data, Scoring(), real)[0]
        with torch.no_grad():
            features = self.judge.features(real[0])
        self.reference = FeatureStatistics.from_features(features)

    def __call__(self, x: Tensor) -> dict[str, float]:
        """Of images (n, 1, 28, 28)."""
        with torch.no_grad():
            found = frechet_with_error(self.judge.features(x), self.reference)
        return {"fld": found.value, "fld_interval": found.interval, "num": len(x)}


def drawn(run: Run, wish: Sampling, inputs: Inputs | None = None) -> Tensor:
    """Samples as a file would hold them."""
    wish = completed(run, wish)
    with torch.inference_mode():
        x = draw(run, run.model(), wish, inputs)
    return run.kind.decode(run.kind.encode(x))


def cascade(
    run: Run, low: Run, num: int, levels: list[float], distance: Frechet
) -> dict[str, object]:
    """Distances of enlarged samples at several levels of noise, and of enlarged test pictures."""
    small = drawn(low, replace(low.config.sampling, num=num))
    choice = torch.randperm(len(distance.test[0]), generator=stream(0, "choice"))[:num]
    real = pooled(distance.test[0][choice], FACTOR)
    found: dict[str, object] = {}
    for name, pictures, each in (("cascade", small, levels), ("of test pictures", real, [0.0])):
        inputs = of_pictures(run.kind, pictures, 1)
        for level in each:
            own = replace(run.config.sampling, num=num, seed=1)
            x = drawn(run, own, replace(inputs, level=level))
            found[f"{name}, level {level:g}"] = distance(x)
            print(f"{name}, level {level:g}", distance(x), flush=True)
    return found


def main() -> None:
    """Take the steps that are named."""
    names = ("sr", "regression", "low", "cascade", "direct")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", nargs="*", metavar="STEP")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--threads", type=int)
    given = parser.parse_intermixed_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    for step in given.steps or names:
        one_of("STEP", step, names)
        folder, sr = given.folder, Run(given.folder / "numbers-sr")
        if step == "sr":
            found = trained(folder, given.epochs).read_scores()
        elif step == "regression":
            found = regression(sr)
        elif step == "low":
            found = {"trained": str(trained_low(folder, given.epochs).path)}
        elif step == "cascade":
            low = Run(folder / "numbers-low")
            found = cascade(sr, low, given.num, given.levels, Frechet())
        else:
            run = Run(folder / "numbers")
            found = Frechet()(drawn(run, replace(run.config.sampling, num=given.num)))
        print(json.dumps({step: found}), flush=True)


if __name__ == "__main__":
    main()
