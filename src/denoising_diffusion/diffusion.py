"""GaussianDiffusion: a schedule, a prediction and a network, joined."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from denoising_diffusion import tables
from denoising_diffusion.checks import Sizes, checked, function, number, sequence, tensor
from denoising_diffusion.guidance import Limit, check_limits
from denoising_diffusion.prediction import Prediction
from denoising_diffusion.schedule import Schedule

DenoiseFn = Callable[..., Tensor]
"""(x (b, ...), t (b,) float32 in (0, T], *conditions) -> an answer in the shape of x."""

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

    Times are those of Ho et al. 2020: 1..T, and 0 is the data; every t here has shape (b,), one
    time per sample, and may be any real number between. Coefficients are formed in float64 where t
    lies on the host, and cast last.

    Args:
        schedule: a Schedule, or betas of shape (T,), which are wrapped in one.
        data_shape: the shape of one sample, such as (2,) or (1, 28, 28).
        denoise_fn: the network, called with (x, t, *conditions).
        prediction: what the network predicts: a name such as "noise", "x_start" or "v", or a
            `Prediction`.
        clip: (low, high), the range of the data where it is known; `sample` keeps to it. Each is a
            number, or a tuple of one per column, the last axis.

    Raises:
        ValueError: an unknown prediction, an empty dimension in data_shape, a clip that is no
            range, or a prediction whose coefficients are not finite at some t in 1..T, such as that
            of noise where alpha_T = 0: noise says nothing of x_0 there.
        TypeError: arguments of other types.
    """

    @checked
    def __init__(
        self,
        schedule: Schedule | Tensor,
        data_shape: Sizes,
        denoise_fn: DenoiseFn,
        prediction: tables.Choice | Prediction = "noise",
        clip: tuple[Limit, Limit] | None = None,
    ) -> None:
        super().__init__()
        self.schedule = Schedule.from_betas(schedule) if isinstance(schedule, Tensor) else schedule
        self.prediction = prediction
        given = isinstance(prediction, Prediction)
        self._prediction = prediction if given else tables.bound("prediction", prediction)()
        self._check_finite()
        self.clip = None if clip is None else check_clip(clip, data_shape)
        self.data_shape = tuple(data_shape)
        self.denoise_fn = denoise_fn
        self._columns: dict[tuple[torch.device, torch.dtype], Tensor] = {}

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
        check_alike("noise", noise, "x_start", x_start)
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
        check_alike("x", x, "x_start", x_start)
        alpha, sigma = self.schedule.at(t, like=x)
        if t.device.type == "cpu" and bool((t < 1).any()):
            raise ValueError(f"t must lie in 1..{self.num_timesteps}, got {t.min().item():.6g}")
        alpha_s, sigma_s = self.schedule.at(t - 1, like=x)
        step = alpha / alpha_s
        added = sigma**2 - (step * sigma_s) ** 2
        mean = (alpha_s * added * x_start + step * sigma_s**2 * x) / sigma**2
        return mean, added * sigma_s**2 / sigma**2

    def predict_start_from_noise(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_start = (x - sigma_t noise) / alpha_t, the inverse of `q_sample`; all (b, *data)."""
        check_alike("noise", noise, "x", x)
        alpha, sigma = self.schedule.at(t, like=x)
        return (x - sigma * noise) / alpha

    def predict_noise_from_start(self, x: Tensor, t: Tensor, x_start: Tensor) -> Tensor:
        """noise = (x - alpha_t x_start) / sigma_t, for t > 0; all (b, *data)."""
        check_alike("x_start", x_start, "x", x)
        alpha, sigma = self.schedule.at(t, like=x)
        self._check_above_0(t)
        return (x - alpha * x_start) / sigma

    def denoise(self, x: Tensor, t: Tensor, *conditions: Tensor | None) -> Tensor:
        """The network's estimate of x_start, (b, *data), not clipped.

        Raises:
            ValueError: x is not (b, *data_shape), a time outside (0, T], or the network answers in
                another shape.
        """
        tensor("x", x, "b", *self.data_shape, holds="numbers")
        alpha, sigma, skip, out, _, _ = self._rows(t, x)
        return skip * x + out * self._answer(x, t, alpha, sigma, conditions)

    def p_losses(
        self,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor,
        *conditions: Tensor | None,
        loss: Loss = squared_error,
    ) -> Tensor:
        """The loss of each sample, (b,), unweighted (Ho et al. 2020, eq. 14); take its mean.

        The network sees `q_sample(x_start, t, noise)` and is compared with what it should predict.

        Raises:
            ValueError: shapes that differ, a time outside (0, T], or a loss that answers neither
                per element nor per sample.
        """
        check_alike("noise", noise, "x_start", x_start)
        tensor("x_start", x_start, "b", *self.data_shape, holds="numbers")
        alpha, sigma, _, _, of_start, of_noise = self._rows(t, x_start)
        x = alpha * x_start + sigma * noise
        output = self._answer(x, t, alpha, sigma, conditions)
        values = function("loss", loss)(output, of_start * x_start + of_noise * noise)
        tensor("the answer of loss", values)
        if values.shape == output.shape:
            return values.flatten(1).mean(1)
        if values.shape == output.shape[:1]:
            return values
        raise ValueError(
            f"loss must return values per element, {tuple(output.shape)}, or per sample, "
            f"({len(output)},), got {tuple(values.shape)}"
        )

    def x_start_factor(self, t: Tensor) -> Tensor:
        """out², (b,) float64 on the host: the squared error of x_start over that of the answer."""
        return self.coefficients(t)[1] ** 2

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """skip and out, float64 on the host in the shape of t, any in [0, T]."""
        return self._prediction.coefficients(*self.schedule(t))

    def _answer(
        self,
        x: Tensor,
        t: Tensor,
        alpha: Tensor,
        sigma: Tensor,
        conditions: tuple[Tensor | None, ...],
    ) -> Tensor:
        """The only call of the network; its answer leaves half precision here."""
        seen, time = self._prediction.inputs(x, t.to(x.device), alpha, sigma)
        output = self.denoise_fn(seen, time.to(torch.float32), *conditions)
        tensor("the answer of denoise_fn", output, *x.shape)
        return output.to(torch.promote_types(output.dtype, torch.float32))

    def _rows(self, t: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """alpha, sigma, skip, out and the target's two factors, each (b, 1, ...), beside `like`."""
        alpha, sigma = self.schedule.at(t, like)
        if t.device.type == "cpu":
            self._check_above_0(t)
            exact = self.schedule(t)
            rows = torch.stack([*exact, *self._derived(*exact)]).to(alpha.dtype).to(like.device)
        else:
            rows = torch.stack([alpha.flatten(), sigma.flatten(), *self._gathered(t, alpha, sigma)])
        return rows.view(6, *alpha.shape).unbind()

    def _gathered(self, t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The derived rows (4, b) where t lies on an accelerator, without waiting for it.

        Whole times are looked up in a table that was made in float64; between them the
        coefficients are formed in the precision of the device.
        """
        key = (alpha.device, alpha.dtype)
        if key not in self._columns:
            exact = self._derived(self.schedule.alpha, self.schedule.sigma)
            self._columns[key] = exact.to(alpha.dtype).to(alpha.device)
        whole = t.round().long()
        between = self._derived(alpha.flatten(), sigma.flatten())
        return torch.where(whole == t, self._columns[key][:, whole], between)

    def _derived(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """skip, out, and the factors of x_start and noise in what the network should answer."""
        skip, out = self._prediction.coefficients(alpha, sigma)
        return torch.stack([skip, out, (1 - skip * alpha) / out, -skip * sigma / out])

    def _check_finite(self) -> None:
        alpha, sigma = self.schedule.alpha, self.schedule.sigma
        bad = (~self._derived(alpha, sigma)[:, 1:].isfinite().all(0)).nonzero()
        if len(bad):
            t = int(bad[0]) + 1
            name = self.prediction if isinstance(self.prediction, str) else "this"
            raise ValueError(
                f"{name} prediction needs signal at every time, but its coefficients are not "
                f"finite at t = {t}, where alpha is {alpha[t].item():.4g}: x_start cannot be found "
                'there; use prediction="v" or "x_start"'
            )

    def _check_above_0(self, t: Tensor) -> None:
        """Refuse the time of the data, where there is no noise; looked at on the host alone."""
        if t.device.type == "cpu" and not bool((t > 0).all()):
            raise ValueError(
                f"t must lie in (0, {self.num_timesteps}], got {t.min().item():.6g}, the time of "
                "the data itself"
            )


def check_clip(clip: tuple[Limit, Limit], data_shape: Sizes) -> tuple[Limit, Limit]:
    """The two limits of samples of this shape, lists made tuples.

    Raises:
        TypeError, ValueError: they are no (low, high) with low below high, finite, each a number or
            one per column.
    """
    low, high = (tuple(v) if isinstance(v, list) else v for v in sequence("clip", clip, count=2))
    for value in (
        v for limit in (low, high) for v in (limit if isinstance(limit, tuple) else (limit,))
    ):
        number("clip", value)
    try:
        least, _ = check_limits(low, high)
    except ValueError:
        text = f"clip must be (low, high) with low below high, got {clip}"
        raise ValueError(text) from None
    if least.ndim and (not data_shape or len(least) != data_shape[-1]):
        raise ValueError(
            f"clip has limits for {len(least)} columns, but samples of shape {tuple(data_shape)}"
        )
    return low, high


def check_alike(name: str, value: Tensor, other: str, like: Tensor) -> None:
    """Refuse what are not two tensors (b, ...) of numbers, in one shape.

    Raises:
        TypeError, ValueError: they are not.
    """
    tensor(other, like, "b", ..., holds="numbers")
    if tensor(name, value, holds="numbers").shape != like.shape:
        raise ValueError(
            f"{name} must have shape {tuple(like.shape)}, got {tuple(value.shape)}, unlike {other}"
        )
