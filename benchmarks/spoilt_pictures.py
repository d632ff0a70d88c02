"""What the kernel distances make of real pictures, spoilt: python benchmarks/spoilt_pictures.py F

F is a folder of PNGs of one size, in one folder per class. The features are those that `ddpm
evaluate` compares pictures without classes in: an encoder, trained on the training part, and random
convolutions. Prints a table for the results; each row is training pictures, spoilt, against those
held out.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from denoising_diffusion.data import split_validation
from denoising_diffusion.data.rows import fingerprint_of
from denoising_diffusion.metrics import RandomConvolutions, Whitened, kernel_distance
from denoising_diffusion.metrics.encoder import encoder


def load(folder: Path) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, h, w) in [-1, 1] and classes (n,)."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    found = [(f, k) for k, c in enumerate(classes) for f in sorted(c.glob("*.png"))]
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB")) for f, _ in found])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, torch.tensor([k for _, k in found])


def blurred(x: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    bell = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    kernel = (bell / bell.sum()).expand(x.shape[1], 1, 1, -1)
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    along = functional.conv2d(padded, kernel, groups=x.shape[1])
    return functional.conv2d(along, kernel.transpose(2, 3), groups=x.shape[1])


def spoilt(x: Tensor, classes: Tensor, n: int) -> Iterator[tuple[str, Tensor]]:
    """Training pictures, spoilt more and more, n of each."""
    generator = torch.Generator().manual_seed(0)
    some = x[:n]
    noise = torch.randn(some.shape, generator=generator)
    most = int(classes.bincount().argmax())
    mixed = some.clone()
    mixed[..., x.shape[2] // 2 :, :] = some.roll(1, 0)[..., x.shape[2] // 2 :, :]
    yield "as they are (floor)", some
    for sigma in (0.5, 1, 2):
        yield f"blurred, {sigma:g} pixels", blurred(some, sigma)
    for deviation in (0.05, 0.1, 0.2):
        yield f"noise of deviation {deviation:g}", (some + deviation * noise).clamp(-1, 1)
    yield "without the largest class", x[classes != most][:n]
    yield "without every second class", x[classes % 2 == 0][:n]
    yield "twenty pictures, again and again", some[:20].repeat(-(-n // 20), 1, 1, 1)[:n]
    yield "lower halves of others", mixed
    yield "red and blue exchanged", some.flip(1)
    yield "uniform noise (ceiling)", torch.rand(some.shape, generator=generator) * 2 - 1


def table(x: Tensor, classes: Tensor, share: float) -> None:
    """One table, with this share held out."""
    train, held_out = split_validation(len(x), share, 0)
    n = min(len(train), len(held_out))
    raw: list[Callable[[Tensor], Tensor]] = [
        encoder(x[train], fingerprint=fingerprint_of(x)).features,
        RandomConvolutions.of(x.shape[1]).features,
    ]
    measures = [Whitened.over(f(x[train])) for f in raw]
    real = [m(f(x[held_out])) for m, f in zip(measures, raw, strict=True)]
    print(f"\n| {len(train):,} to train on, {len(held_out):,} held out | learned | random |")
    print("| --- | --- | --- |")
    for name, images in spoilt(x[train], classes[train], n):
        found = [
            kernel_distance(m(f(images)), r) for m, f, r in zip(measures, raw, real, strict=True)
        ]
        print(f"| {name} | " + " | ".join(f"{v.value:.4f} ± {v.interval:.4f}" for v in found), "|")
        sys.stdout.flush()


if __name__ == "__main__":
    pictures, kinds = load(Path(sys.argv[1]))
    for part in (0.5, 0.1):
        table(pictures, kinds, part)
