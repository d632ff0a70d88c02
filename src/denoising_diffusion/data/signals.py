"""One-dimensional signals: mixtures of sines with known spectra, or a user's own."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from denoising_diffusion.checks import Count, checked
from denoising_diffusion.data.reading import as_path, read_npy
from denoising_diffusion.data.rows import Dataset, in_memory
from denoising_diffusion.data.split import split_validation
from denoising_diffusion.seeds import stream

MIXTURES: dict[str, tuple[tuple[int, float], ...]] = {
    "low": ((2, 1.0),),
    "high": ((9, 0.7),),
    "chord": ((3, 0.6), (5, 0.5), (7, 0.4)),
}
"""The classes of `make_sines`: whole periods in the length of a signal, and their amplitudes."""

MIN_ROWS = 10

Length = Annotated[int, 20]
Noise = Annotated[float, "[0, inf)"]


@checked
def make_sines(
    n: Count, length: Length = 64, noise: Noise = 0.1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """n signals of the classes in turn: sines of random phases, and white noise.

    Returns:
        signals (n, 1, length) float32, and classes (n,) int64, counted from 0.

    Raises:
        TypeError, ValueError: numbers of another type or out of range.
    """
    place = torch.arange(length, dtype=torch.float64) * (2 * torch.pi / length)
    white = torch.randn(n, length, generator=generator, dtype=torch.float64)
    phases = torch.rand(n, 3, generator=generator, dtype=torch.float64) * (2 * torch.pi)
    classes = torch.arange(n) % len(MIXTURES)
    signals = noise * white
    for k, parts in enumerate(MIXTURES.values()):
        rows = classes == k
        for i, (periods, amplitude) in enumerate(parts):
            signals[rows] += amplitude * torch.sin(periods * place + phases[rows, i, None])
    return signals[:, None].float(), classes


def expected_spectrum(name: str, length: int = 64, noise: float = 0.1) -> Tensor:
    """The mean power of a class at 0 .. length / 2 periods, (length // 2 + 1,) float64, exact.

    With the power |DFT|² / length, white noise of variance s² has s² everywhere, and a sine of
    amplitude a adds a² length / 4 at its own frequency.

    Raises:
        KeyError: an unknown class.
    """
    power = torch.full((length // 2 + 1,), noise**2, dtype=torch.float64)
    for periods, amplitude in MIXTURES[name]:
        power[periods] += amplitude**2 * length / 4
    return power


@checked
def sines(
    *, size: Annotated[int, 30] = 20_000, length: int = 64, noise: float = 0.1, seed: int = 0
) -> Dataset:
    """Signals of `make_sines`, drawn afresh, with a tenth as many from another stream held out.

    Raises:
        TypeError, ValueError: a size below 30, or as `make_sines`.
    """
    drawn = [
        make_sines(n, length, noise, stream(seed, f"data/{part}"))
        for part, n in (("train", size), ("validation", size // 10))
    ]
    scale = float(drawn[0][0].double().std())
    scaled = [(x / scale, classes) for x, classes in drawn]
    return in_memory("sines", "signals", *scaled, class_names=tuple(MIXTURES), scale=(scale,))


def signals(*, path: str | None = None, seed: int = 0) -> Dataset:
    """A user's own signals, (n, length) or (n, channels, length) in a .npy file, a tenth held out.

    They are scaled to mean 0 and standard deviation 1 over all that is trained on.

    Raises:
        ValueError: no path, or a file that is missing, not numeric, of another shape, constant,
            not finite, or of fewer than 10 signals.
    """
    if path is None:
        raise ValueError("the data set 'signals' needs the path of a .npy file")
    x = _read(path)
    train, held_out = split_validation(len(x), 0.1, seed)
    # The mean of what is left after one value keeps digits that that of large numbers loses.
    offset = float(x.flatten()[0])
    rest = x[train] - offset
    mean, std = float(rest.mean()) + offset, float(rest.std(correction=0))
    if std == 0:
        raise ValueError(f"{path}: the signals are constant, so they cannot be scaled")
    if not math.isfinite(mean + std) or std < 1000 * math.ulp(float(x.abs().max())):
        raise ValueError(
            f"{path}: the signals spread by {std:.3g} around {mean:.6g}, which float64 cannot "
            "scale; subtract an offset, or take another unit"
        )
    scaled = ((x - mean) / std).float()
    parts = ((scaled[rows],) for rows in (train, held_out))
    return in_memory("signals", "signals", *parts, shift=(mean,), scale=(std,))


def _read(path: str) -> Tensor:
    """The signals of a file, (n, channels, length) float64."""
    try:
        array = read_npy(as_path(path))
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: no .npy file of numbers, {reason}") from None
    shape: Sequence[int] = array.shape
    if array.ndim not in (2, 3) or 0 in shape or len(array) < MIN_ROWS:
        raise ValueError(
            f"{path}: expected (n, length) or (n, channels, length), n >= {MIN_ROWS}, got {shape}"
        )
    x = torch.from_numpy(array)
    bad = (~x.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise ValueError(f"{path}: signal {int(bad[0]) + 1} holds values that are not finite")
    return x[:, None] if x.ndim == 2 else x
