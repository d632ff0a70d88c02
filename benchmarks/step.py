"""What parts of training and sampling cost, as ratios of times measured in one run.

    python benchmarks/step.py [--rounds 15] [--threads N] [--batch 32]

The variants of a comparison take turns, round by round, and every ratio is the median over the
rounds of the ratio within a round: a machine that slows down for a while slows all of them.
"""

import argparse
import contextlib
from collections.abc import Callable

import torch
from measuring import in_turn
from torch import Tensor

from denoising_diffusion import (
    EMA,
    ClassifierFreeGuidance,
    GaussianDiffusion,
    SampleNoise,
    UNet,
    cosine_beta_schedule,
)

TIMESTEPS = 100
SHAPE = (1, 28, 28)
NOISE_IMAGES = 256

Variants = dict[str, Callable[[], object]]


def compare(title: str, variants: Variants, rounds: int) -> None:
    """Print the time of every variant over that of the first: median and quartiles of the ratio."""
    times = in_turn(variants, rounds, say=lambda _: None)
    rows = torch.tensor(list(times.values()), dtype=torch.float64)
    ratios = (rows / rows[0]).quantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=1).T
    print(f"\n{title}")
    for name, seconds, (low, middle, high) in zip(
        times, rows.quantile(0.5, dim=1).tolist(), ratios.tolist(), strict=True
    ):
        ratio = f"{middle:9.4f}  ({low:.4f} .. {high:.4f})"
        print(f"  {name:<32}{seconds * 1e3:10.3f} ms   x {ratio}")


def training_step(batch: int, *, bfloat16: bool = False, ema: bool = False) -> Callable[[], None]:
    """One optimiser step of a fresh network on random images."""
    model = diffusion()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    average = EMA(model) if ema else None
    images = torch.rand(batch, *SHAPE) * 2 - 1

    def step() -> None:
        t = torch.randint(1, TIMESTEPS + 1, (batch,))
        noise = torch.randn_like(images)
        half = torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext()
        optimizer.zero_grad(set_to_none=True)
        with half:
            loss = model.p_losses(images, t, noise).mean()
        loss.backward()
        optimizer.step()
        if average is not None:
            average.update(model, 1000)

    return step


def diffusion(num_classes: int | None = None) -> GaussianDiffusion:
    """The network that all comparisons are about."""
    network = UNet(1, 16, TIMESTEPS, num_classes=num_classes)
    return GaussianDiffusion(cosine_beta_schedule(TIMESTEPS), SHAPE, network, prediction="v")


def training(batch: int, rounds: int) -> None:
    compare(
        f"training step, batch {batch}: precision",
        {"float32": training_step(batch), "bfloat16": training_step(batch, bfloat16=True)},
        rounds,
    )
    compare(
        f"training step, batch {batch}: weight averaging",
        {"without EMA": training_step(batch), "with EMA": training_step(batch, ema=True)},
        rounds,
    )


def noising(batch: int, rounds: int) -> None:
    model, images = diffusion(), torch.rand(batch, *SHAPE)
    t, noise = torch.randint(1, TIMESTEPS + 1, (batch,)), torch.randn(batch, *SHAPE)
    compare(
        f"noising a batch of {batch}",
        {
            "training step": training_step(batch),
            "q_sample": lambda: model.q_sample(images, t, noise),
        },
        rounds,
    )


def guiding(batch: int, rounds: int) -> None:
    model = diffusion(num_classes=10).eval()
    x, t = torch.randn(batch, *SHAPE), torch.full((batch,), TIMESTEPS // 2)
    labels = torch.arange(batch) % 10 + 1

    def at(scale: float) -> Callable[[], Tensor]:
        guided = ClassifierFreeGuidance(model.denoise, labels, scale)
        return torch.no_grad()(lambda: guided(x, t))

    compare(f"denoise, {batch} samples", {"scale 1": at(1), "scale 2, guided": at(2)}, rounds)


def drawing(rounds: int) -> None:
    model = diffusion().eval()
    x, t = torch.randn(NOISE_IMAGES, *SHAPE), torch.full((NOISE_IMAGES,), TIMESTEPS // 2)

    def per_sample() -> None:
        draw = SampleNoise(0, range(NOISE_IMAGES))  # making the streams is a part of the cost
        for _ in range(TIMESTEPS):
            draw(x)

    def at_once() -> None:
        for _ in range(TIMESTEPS):
            torch.randn_like(x)

    compare(
        f"noise of {TIMESTEPS} sampling steps beside one network evaluation, {NOISE_IMAGES} images",
        {
            "one network evaluation": torch.no_grad()(lambda: model.denoise(x, t)),
            "SampleNoise, all steps": per_sample,
            "torch.randn_like, all steps": at_once,
        },
        rounds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Ratios of times, measured in one run.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every variant")
    parser.add_argument("--threads", type=int, help="threads of torch; by default its own choice")
    parser.add_argument("--batch", type=int, default=32, help="images in a training step")
    options = parser.parse_args()
    for name in ("rounds", "threads", "batch"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, threads {threads}, rounds {options.rounds}")
    training(options.batch, options.rounds)
    guiding(options.batch, options.rounds)
    noising(options.batch, options.rounds)
    drawing(options.rounds)


if __name__ == "__main__":
    main()
