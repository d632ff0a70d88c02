"""GaussianDiffusion: a schedule and a network, joined."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from denoising_diffusion.schedule import Schedule

Prediction = Literal["noise", "x_start", "v"]
"""What the network predicts; v = alpha noise - sigma x_start (Salimans & Ho 2022, appendix D)."""

DenoiseFn = Callable[..., Tensor]
"""(x (b, ...), t (b,) float32 in 1..T, *conditions) -> a prediction in the shape of x."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(prediction, target) -> losses per element, in their shape, or per sample, (b,)."""


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(prediction - target)² per element."""
    return (prediction - target).square()


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """|prediction - target| per element."""
    return (prediction - target).abs()


class GaussianDiffusion(nn.Module):
    """A diffusion model: it noises data, undoes noise, scores a prediction, estimates x_start.

    Times are those of Ho et al. 2020: integers 1..T, and 0 is the data; every t here has
    shape (b,), one time per sample.

    Args:
        schedule: a Schedule, or betas of shape (T,), which are wrapped in one.
        data_shape: the shape of one sample, such as (2,) or (1, 28, 28).
        denoise_fn: the network, called with (x, t, *conditions).
        prediction: what the network predicts: "noise", "x_start" or "v".

    Raises:
        ValueError: an unknown prediction, an empty dimension in data_shape, or noise prediction
            with a schedule that ends without signal (alpha_T = 0), where noise says nothing of x_0.
        TypeError: denoise_fn is not callable.
    """

    def __init__(
        self,
        schedule: Schedule | Tensor,
        data_shape: Sequence[int],
        denoise_fn: DenoiseFn,
        prediction: Prediction = "noise",
    ) -> None:
        super().__init__()
        if not callable(denoise_fn):
            raise TypeError(f"denoise_fn must be callable, got {type(denoise_fn).__name__}")
        if prediction not in get_args(Prediction):
            raise ValueError(
                f"prediction must be one of {get_args(Prediction)}, got {prediction!r}"
            )
        if any(n < 1 for n in data_shape):
            raise ValueError(f"data_shape must hold sizes >= 1, got {tuple(data_shape)}")
        self.schedule = Schedule.from_betas(schedule) if isinstance(schedule, Tensor) else schedule
        if prediction == "noise" and self.schedule.alpha[-1] == 0:
            raise ValueError(
                "noise prediction needs signal at every time, but alpha_T is 0 (the last beta is "
                '1): x_start cannot be found from noise there; use prediction="v" or "x_start"'
            )
        self.data_shape = tuple(data_shape)
        self.denoise_fn = denoise_fn
        self.prediction: Prediction = prediction

    @property
    def num_timesteps(self) -> int:
        """T."""
        return self.schedule.num_timesteps

    def extra_repr(self) -> str:
        """What `print` adds to the modules inside."""
        return (
            f"num_timesteps={self.num_timesteps}, data_shape={self.data_shape}, "
            f"prediction={self.prediction!r}"
        )

    def q_sample(self, x_start: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = alpha_t x_start + sigma_t noise (Ho et al. 2020, eq. 4); all (b, *data).

        Raises:
            ValueError: shapes that differ, or a time outside [0, T].
        """
        _check_same_shape("noise", noise, x_start)
        alpha, sigma = self.schedule.at(t, like=x_start)
        return alpha * x_start + sigma * noise

    def q_posterior_mean_variance(
        self, x_start: Tensor, x: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean (b, *data) and variance (b, 1, ...) of q(x_{t-1} | x_t = x, x_0 = x_start).

        Ho et al. 2020, eqs. 6-7, written for any pair alpha, sigma; t in 1..T, integers. At t = 1
        the mean is x_start and the variance 0.

        Raises:
            ValueError: shapes that differ, or a t below 1 on the host.
        """
        _check_same_shape("x", x, x_start)
        if t.device.type == "cpu" and bool((t < 1).any()):
            raise ValueError(f"t must lie in 1..{self.num_timesteps}, got {t.min().item():.6g}")
        alpha, sigma = self.schedule.at(t, like=x)
        alpha_s, sigma_s = self.schedule.at(t - 1, like=x)
        step = alpha / alpha_s
        added = sigma**2 - (step * sigma_s) ** 2
        mean = (alpha_s * added * x_start + step * sigma_s**2 * x) / sigma**2
        return mean, added * sigma_s**2 / sigma**2

    def predict_start_from_noise(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_start = (x - sigma_t noise) / alpha_t, the inverse of `q_sample`; all (b, *data)."""
        _check_same_shape("noise", noise, x)
        alpha, sigma = self.schedule.at(t, like=x)
        return (x - sigma * noise) / alpha

    def predict_noise_from_start(self, x: Tensor, t: Tensor, x_start: Tensor) -> Tensor:
        """noise = (x - alpha_t x_start) / sigma_t, for t > 0; all (b, *data)."""
        _check_same_shape("x_start", x_start, x)
        alpha, sigma = self.schedule.at(t, like=x)
        return (x - alpha * x_start) / sigma

    def denoise(self, x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        """The network's estimate of x_start, (b, *data), not clipped.

        Raises:
            ValueError: x is not (b, *data_shape), or the network answers in another shape.
        """
        output = self._predict(x, t, conditions)
        if self.prediction == "x_start":
            return output
        if self.prediction == "noise":
            return self.predict_start_from_noise(x, t, output)
        alpha, sigma = self.schedule.at(t, like=x)
        return (alpha * x - sigma * output) / (alpha**2 + sigma**2)

    def p_losses(
        self,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor,
        *conditions: Tensor,
        loss: Loss = squared_error,
    ) -> Tensor:
        """The loss of each sample, (b,), unweighted (Ho et al. 2020, eq. 14); take its mean.

        The network sees `q_sample(x_start, t, noise)` and is compared with what it should predict.

        Raises:
            ValueError: shapes that differ, or a loss that answers neither per element nor per
                sample.
        """
        x = self.q_sample(x_start, t, noise)
        output = self._predict(x, t, conditions)
        values = loss(output, self._target(x_start, t, noise))
        if values.shape == output.shape:
            return values.flatten(1).mean(1)
        if values.shape == output.shape[:1]:
            return values
        raise ValueError(
            f"loss must return values per element, {tuple(output.shape)}, or per sample, "
            f"({len(output)},), got {tuple(values.shape)}"
        )

    def _target(self, x_start: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        if self.prediction == "noise":
            return noise
        if self.prediction == "x_start":
            return x_start
        alpha, sigma = self.schedule.at(t, like=x_start)
        return alpha * noise - sigma * x_start

    def _predict(self, x: Tensor, t: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """The only call of the network; its answer leaves half precision here."""
        if tuple(x.shape[1:]) != self.data_shape:
            raise ValueError(
                f"x must have shape (b, {', '.join(map(str, self.data_shape))}), got "
                f"{tuple(x.shape)}"
            )
        output = self.denoise_fn(x, t.to(torch.float32), *conditions)
        if output.shape != x.shape:
            raise ValueError(
                f"denoise_fn must answer in the shape of x, {tuple(x.shape)}, got "
                f"{tuple(output.shape)}"
            )
        return output.to(torch.promote_types(output.dtype, torch.float32))


def _check_same_shape(name: str, value: Tensor, like: Tensor) -> None:
    if value.shape != like.shape:
        raise ValueError(f"{name} must have shape {tuple(like.shape)}, got {tuple(value.shape)}")
