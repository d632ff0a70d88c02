"""Optimisers by name: Adam, and Muon, whose steps move every direction of a matrix equally far."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from denoising_diffusion.checks import Positive, checked, tensor

Beta = Annotated[float, "[0, 1)"]
LEAST = 8
"""A weight of fewer rows or columns, such as that of the answer's few channels, is no matrix."""
# Jordan et al. 2024: a quintic that lifts singular values from 1/500 up to near 1 in five rounds.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


@checked
def adam(model: nn.Module, learning_rate: Positive, *, beta2: Beta = 0.999) -> Optimizer:
    """Adam over all parameters (Kingma & Ba 2015, arXiv:1412.6980).

    Args:
        model: whose parameters are trained.
        learning_rate: of a step.
        beta2: the decay of the mean squares of gradients.
    """
    return torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, beta2))


@checked
def muon(
    model: nn.Module, learning_rate: Positive, *, momentum: Beta = 0.95, beta2: Beta = 0.99
) -> Optimizer:
    """`Muon` for the matrices of a model, Adam for the rest of its parameters.

    Matrices are the weights of linear layers and convolutions, those read as
    (out, in * height * width); embeddings, biases, scales of norms, and weights of fewer than
    `LEAST` rows or columns are not.

    Args:
        model: whose parameters are trained.
        learning_rate: of a step, the same for both: Muon's is scaled to the size of Adam's.
        momentum: of Muon.
        beta2: of Adam.
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for p in model.parameters():
        matrix = p.ndim > 1 and id(p) not in tables and min(len(p), p.numel() // len(p)) >= LEAST
        (matrices if matrix else others).append(p)
    return Muon(matrices, others, learning_rate, momentum=momentum, beta2=beta2)


class Muon(Optimizer):
    """Momentum, made orthogonal, for matrices (Jordan et al. 2024, "Muon"); Adam for the rest.

    With the momentum M ← momentum M + (1 − momentum) G of the gradient G of an (n, m) matrix, a
    step is

        W ← W − lr · 0.2 √max(n, m) · orthogonal(momentum M + (1 − momentum) G),

    whose root mean square is about that of a step of Adam, 0.2 lr to 0.4 lr (Liu et al. 2025,
    arXiv:2502.16982, eq. 4), so one rate serves both.

    Args:
        matrices: parameters of two dimensions and more, read as (first, all others).
        others: parameters that take the steps of Adam, with betas (0.9, beta2).
        learning_rate: lr, of both.
        momentum: the share of the old momentum that is kept.
        beta2: the decay of Adam's mean squares.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        learning_rate: float,
        *,
        momentum: float,
        beta2: float,
    ) -> None:
        groups = [
            {"params": params, "matrices": own}
            for params, own in ((matrices, True), (others, False))
            if params
        ]
        super().__init__(groups, {"lr": learning_rate, "momentum": momentum, "beta2": beta2})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a step; parameters without a gradient stay."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            held = [p for p in group["params"] if p.grad is not None]
            if not group["matrices"]:
                for p in held:
                    self._adam(p, group)
                continue
            equal: dict[torch.Size, list[Tensor]] = {}
            for p in held:
                equal.setdefault(p.flatten(1).shape, []).append(p)
            for found in equal.values():
                self._turn(found, group)
        return value

    def _turn(self, equal: list[Tensor], group: dict[str, Any]) -> None:
        """The step of matrices of one size, which are made orthogonal together."""
        keep, ahead = group["momentum"], list[Tensor]()
        for p in equal:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            momentum = state["momentum"].lerp_(p.grad, 1 - keep)
            ahead.append(p.grad.lerp(momentum, keep).flatten(1))
        size = float(group["lr"]) * 0.2 * math.sqrt(max(ahead[0].shape))
        for p, step in zip(equal, orthogonal(torch.stack(ahead)), strict=True):
            p.sub_(step.view_as(p), alpha=size)

    def _adam(self, p: Tensor, group: dict[str, Any]) -> None:
        gradient, state = p.grad, self.state[p]
        assert gradient is not None
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p)}
            state["square"] = torch.zeros_like(p)
        state["step"] += 1
        count, beta2 = float(state["step"]), group["beta2"]
        mean = state["mean"].lerp_(gradient, 0.1) / (1 - 0.9**count)
        square = state["square"].lerp_(gradient.square(), 1 - beta2) / (1 - beta2**count)
        p.addcdiv_(mean, square.sqrt() + 1e-8, value=-float(group["lr"]))


@checked
def orthogonal(matrix: Tensor) -> Tensor:
    """Matrices (..., n, m) with the same singular vectors, and singular values of about 1.

    Five rounds of X ← a X + b X Xᵀ X + c (X Xᵀ)² X, from X = matrix / its Frobenius norm, which
    leave values within 0.68 to 1.21 if they were 1/500 of the norm or more. Rounds act on the Gram
    matrix and on the polynomial in it that X is multiplied with, as small as the shorter side.

    Args:
        matrix: (..., n, m), floats; zeros stay zeros.

    Raises:
        ValueError: fewer than two dimensions.
    """
    if tensor("matrix", matrix, holds="floats").ndim < 2:
        raise ValueError(f"matrix must have two dimensions or more, got {tuple(matrix.shape)}")
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonal(matrix.mT).mT
    a, b, c = QUINTIC
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    x = matrix / norm.clamp_min(torch.finfo(matrix.dtype).tiny)
    gram = x @ x.mT
    unit = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    product = unit
    for _ in range(ROUNDS):
        factor = a * unit + b * gram + c * (gram @ gram)
        product, gram = factor @ product, factor @ gram @ factor
    return product @ x
