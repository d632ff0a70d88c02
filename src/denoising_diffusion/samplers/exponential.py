"""Exponential integrators: steps that are exact but for how the estimate of x_start changes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from denoising_diffusion.samplers.base import Row

Past = tuple[Row, Tensor]
"""A time, and the estimate of x_start that was made there."""


def log_ratio(row: Row) -> float:
    """ln(alpha / sigma), half the log-SNR; infinite at clean data and at pure noise."""
    if row.sigma == 0:
        return math.inf
    return math.log(row.alpha / row.sigma) if row.alpha > 0 else -math.inf


def moments(length: float, count: int) -> list[float]:
    """h ∫ e^(−(1−τ)h) τ^k dτ over τ in [0, 1], for k = 0..count − 1 and h = length.

    By parts, the k-th is 1 − k / h times the one before, which loses all digits as h goes to 0;
    there the series in h is summed, h Σ_j (−h)^j k! / (j + k + 1)!.
    """
    if abs(length) < 1:
        return [length * _series(length, k) for k in range(count)]
    found = [-math.expm1(-length)]
    for k in range(1, count):
        found.append(1 - k / length * found[-1])
    return found


def _series(length: float, k: int) -> float:
    term, total = 1 / (k + 1), 0.0
    for j in range(1, 30):
        total, term = total + term, -term * length / (j + k + 1)
    return total


def extrapolated(past: Sequence[Past], now: Row, then: Row, rate: float = 1.0) -> Tensor:
    """The constant estimate that leads from `now` to `then` as the changing one does.

    With λ = ln(alpha / sigma), the probability-flow ODE says d(x / sigma) = x_start d(e^λ): every
    estimate between the two times counts with e^(rate λ), rate 1 (Lu et al. 2022,
    arXiv:2211.01095, eq. 8); in the reverse SDE with 2 (eq. 12). The estimate is taken to be the
    polynomial in λ through the past ones, and its mean under that weight is returned; `ddim`
    (`ddpm` for rate 2) from `now` to `then` with it is then exact for such a polynomial.

    Args:
        past: estimates, the one at `now` or later last; those at an infinite λ are left out unless
            it is the last, which is returned where a step begins or ends at an infinite λ.
        now: where the step begins.
        then: where it ends.
        rate: see above.
    """
    start, end = log_ratio(now), log_ratio(then)
    nodes = [(log_ratio(row), estimate) for row, estimate in past]
    nodes = [node for node in nodes if math.isfinite(node[0])]
    if not (math.isfinite(start) and math.isfinite(end)) or len(nodes) < 2:
        return past[-1][1]
    length = end - start
    tau = torch.tensor([(at - start) / length for at, _ in nodes], dtype=torch.float64)
    powers = torch.stack([tau**k for k in range(len(nodes))])
    wanted = torch.tensor(moments(rate * length, len(nodes)), dtype=torch.float64)
    shares = torch.linalg.solve(powers, wanted / wanted[0]).tolist()
    return sum(
        (share * x for share, (_, x) in zip(shares, nodes, strict=True)), start=0 * past[-1][1]
    )


def flown(x: Tensor, x_start: Tensor, now: Row, then: Row) -> Tensor:
    """The step of `ddim` without chance from `now` to `then`."""
    noise = (x - now.alpha * x_start) / now.sigma
    return then.alpha * x_start + then.sigma * noise
