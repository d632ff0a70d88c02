"""Mixtures of Gaussians: their exact densities and best denoisers, for tests of other laws."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from denoising_diffusion import Schedule


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means (k, d) and covariances (k, d, d), float64."""

    weight: Tensor
    mean: Tensor
    covariance: Tensor

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, d)."""
        k = torch.multinomial(self.weight, count, True, generator=generator)
        unit = torch.randn(count, self.mean.shape[1], 1, generator=generator, dtype=torch.float64)
        return self.mean[k] + (torch.linalg.cholesky(self.covariance)[k] @ unit)[..., 0]

    def log_parts(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """ln of weight times density of x_t, (b, k), at alpha and sigma (b,)."""
        d = self.mean.shape[1]
        a, s = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
        root = torch.linalg.cholesky(a**2 * self.covariance + s**2 * torch.eye(d, dtype=x.dtype))
        away = x[:, None] - alpha.view(-1, 1, 1) * self.mean
        solved = torch.linalg.solve_triangular(root, away[..., None], upper=False)[..., 0]
        volume = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + d / 2 * math.log(2 * math.pi)
        return self.weight.log() - solved.square().sum(-1) / 2 - volume

    def log_density(self, x: Tensor, std: float = 0.0) -> Tensor:
        """ln of the density of the data with noise of this standard deviation added, (b,)."""
        ones = torch.ones(len(x), dtype=x.dtype)
        return self.log_parts(x, ones, std * ones).logsumexp(1)

    def denoiser(self, schedule: Schedule):
        """E[x_0 | x_t], the mean of what each part would say."""

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = (v.flatten() for v in schedule.at(t, like=x))
            d = self.mean.shape[1]
            a, s = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
            total = a**2 * self.covariance + s**2 * torch.eye(d, dtype=x.dtype)
            away = x[:, None] - alpha.view(-1, 1, 1) * self.mean
            solved = torch.linalg.solve(total, away[..., None])
            posterior = self.mean + (a * self.covariance @ solved)[..., 0]
            share = self.log_parts(x, alpha, sigma).softmax(1)[..., None]
            return (share * posterior).sum(1)

        return denoise
