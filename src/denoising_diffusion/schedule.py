"""Noise schedules: how much signal and how much noise there is at every time."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor

from denoising_diffusion import inline
from denoising_diffusion.checks import Timesteps, checked, exact, number, tensor
from denoising_diffusion.warn import warn

# Above this remainder of signal a sampler that starts from pure noise starts from a distribution
# that the forward process never reached (Lin et al. 2023, arXiv:2305.08891).
MAX_TERMINAL_SIGNAL = 1e-3


Beta = Annotated[float, "(0, 1]"]


@checked
def linear_beta_schedule(
    num_timesteps: Timesteps, beta_start: Beta = 1e-4, beta_end: Beta = 0.02
) -> Tensor:
    """Betas that grow linearly, scaled by 1000 / T so that every T destroys about as much signal.

    `beta_start` and `beta_end` are the values for T = 1000 (Ho et al. 2020, section 4).

    Returns:
        float64, shape (T,), beta_1 .. beta_T.

    Raises:
        ValueError: T outside 1..10⁶, limits outside (0, 1], or a T so small that scaling lifts beta
            above 1.
    """
    scale = 1000 / num_timesteps
    largest = scale * max(beta_start, beta_end)
    if largest > 1:
        least = math.ceil(1000 * max(beta_start, beta_end))
        raise ValueError(
            f"num_timesteps ({num_timesteps}) is too small for the linear schedule: betas are "
            f"scaled by 1000 / T = {scale:.4g}, which makes the largest {largest:.4g}, above 1; "
            f"take num_timesteps >= {least}, or the cosine schedule"
        )
    return torch.linspace(scale * beta_start, scale * beta_end, num_timesteps, dtype=torch.float64)


@checked
def cosine_beta_schedule(
    num_timesteps: Timesteps, s: Annotated[float, "[0, inf)"] = 0.008, max_beta: Beta = 0.999
) -> Tensor:
    """Betas whose alpha_cumprod is a squared cosine (Nichol & Dhariwal 2021, eq. 17).

    alpha_cumprod_t = f(t) / f(0), f(t) = cos²((t / T + s) / (1 + s) · π / 2); the last beta is cut
    to `max_beta`, since it would otherwise be exactly 1.

    Returns:
        float64, shape (T,), beta_1 .. beta_T.

    Raises:
        ValueError: T outside 1..10⁶, s < 0 or not finite, max_beta outside (0, 1].
    """
    u = torch.linspace(0, 1, num_timesteps + 1, dtype=torch.float64)
    f = torch.cos((u + s) / (1 + s) * (math.pi / 2)) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta)


def cosine(*, timesteps: int = 100, s: float = 0.008, max_beta: float = 0.999) -> "Schedule":
    """The schedule of `cosine_beta_schedule`."""
    return Schedule.from_betas(cosine_beta_schedule(timesteps, s, max_beta))


def linear(*, timesteps: int = 100, beta_start: float = 1e-4, beta_end: float = 0.02) -> "Schedule":
    """The schedule of `linear_beta_schedule`."""
    return Schedule.from_betas(linear_beta_schedule(timesteps, beta_start, beta_end))


@checked
@dataclass(frozen=True, eq=False)
class Schedule:
    """The forward process q(x_t | x_0) = N(alpha_t x_0, sigma_t² I) for t = 0..T.

    Row 0 is the data itself, (alpha, sigma) = (1, 0): training draws t from 1..T, a sampler walks
    down to 0, and neither has a special last step. Both tables are float64 on the host, so that
    neither 1 − alpha² nor a ratio of rows loses digits. Between rows the angle atan2(sigma, alpha)
    and the norm are interpolated linearly, both finite everywhere, so any real t in [0, T] is
    legal.

    Args:
        alpha: (T + 1,), the share of signal, falling from 1, never negative.
        sigma: (T + 1,), the standard deviation of the noise, 0 in row 0.

    Raises:
        ValueError: tables of unequal length, a first row other than (1, 0), or a signal-to-noise
            ratio that does not fall strictly.
    """

    alpha: Annotated[Tensor, exact]
    sigma: Annotated[Tensor, exact]
    _tables: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        alpha, sigma = self.alpha, self.sigma
        if alpha.ndim != 1 or alpha.shape != sigma.shape or len(alpha) < 2:
            raise ValueError(
                "alpha and sigma must both have shape (T + 1,) with T >= 1, got "
                f"{tuple(alpha.shape)} and {tuple(sigma.shape)}"
            )
        if (alpha[0].item(), sigma[0].item()) != (1.0, 0.0):
            raise ValueError(
                f"row 0 must be clean data, (alpha, sigma) = (1, 0), got "
                f"({alpha[0].item():.4g}, {sigma[0].item():.4g})"
            )
        angle = torch.atan2(sigma, alpha)
        wrong = (~((angle.diff() > 0) & (alpha[1:] >= 0))).nonzero()
        if len(wrong):
            t = int(wrong[0]) + 1
            raise ValueError(
                "the signal-to-noise ratio alpha² / sigma² must fall strictly with t and alpha "
                f"must not be negative, got alpha {alpha[t].item():.4g} and sigma "
                f"{sigma[t].item():.4g} at t = {t}"
            )
        remainder = (alpha[-1] ** 2 / (alpha[-1] ** 2 + sigma[-1] ** 2)).item()
        if remainder > MAX_TERMINAL_SIGNAL:
            warn(
                f"this schedule does not reach noise: alpha² / (alpha² + sigma²) is "
                f"{remainder:.4g} at T = {self.num_timesteps} (at most {MAX_TERMINAL_SIGNAL:g} is "
                f"advised), so x_T keeps {math.sqrt(remainder):.3g} of the data, while samplers "
                "start from noise alone"
            )

    def __repr__(self) -> str:
        low, high = self.log_snr[[-1, 1]].tolist()
        return f"Schedule(num_timesteps={self.num_timesteps}, log_snr={high:.2f}..{low:.2f})"

    def _repr_html_(self) -> str:
        last = len(self.alpha) - 1
        lines = {"alpha": self.alpha.tolist(), "sigma": self.sigma.tolist()}
        return inline.curves(f"Schedule, T = {last}", lines, (0, last))

    @classmethod
    def from_betas(cls, betas: Tensor) -> "Schedule":
        """The variance-preserving schedule of beta_1 .. beta_T, shape (T,) (Ho et al. 2020, eq. 4).

        Raises:
            ValueError: not one-dimensional, a beta outside (0, 1], or a beta of 1 before the last.
        """
        b = _column("betas", betas)
        if not bool(((b > 0) & (b <= 1)).all()):
            raise ValueError(
                f"betas must lie in (0, 1], got values from {b.min().item():.4g} to "
                f"{b.max().item():.4g}"
            )
        if bool((b[:-1] == 1).any()):
            first = int((b[:-1] == 1).nonzero()[0]) + 1
            raise ValueError(
                f"only the last beta may be 1, got beta_{first} = 1 of {len(b)}: no signal would "
                "be left for the later times"
            )
        # log1p and expm1 keep sigma exact for tiny betas, where 1 - prod(1 - beta) cancels.
        log_alpha_cumprod = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-b)])
        log_alpha_cumprod = log_alpha_cumprod.cumsum(0)
        return cls((log_alpha_cumprod / 2).exp(), (-torch.expm1(log_alpha_cumprod)).sqrt())

    @classmethod
    def from_alpha_cumprod(cls, alpha_cumprod: Tensor) -> "Schedule":
        """The variance-preserving schedule with these alpha_cumprod_1 .. alpha_cumprod_T, (T,).

        Raises:
            ValueError: not one-dimensional, outside [0, 1), or not strictly falling.
        """
        a = _column("alpha_cumprod", alpha_cumprod)
        if not bool(((a >= 0) & (a < 1)).all() and (a.diff() < 0).all()):
            raise ValueError(
                "alpha_cumprod must lie in [0, 1) and fall strictly with t, got values from "
                f"{a.min().item():.4g} to {a.max().item():.4g}"
            )
        a = torch.cat([torch.ones(1, dtype=torch.float64), a])
        return cls(a.sqrt(), (1 - a).sqrt())

    @property
    def num_timesteps(self) -> int:
        """T; times run from 0, the data, to T."""
        return len(self.alpha) - 1

    @property
    def alpha_cumprod(self) -> Tensor:
        """alpha², (T + 1,); in Ho et al. it is written alpha-bar."""
        return self.alpha**2

    @property
    def log_snr(self) -> Tensor:
        """ln(alpha² / sigma²), (T + 1,); +inf in row 0."""
        return 2 * (self.alpha.log() - self.sigma.log())

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t, float64 on the host, in the shape of t; any real t in [0, T].

        Raises:
            ValueError: a t outside [0, T].
        """
        t = _host("t", t, f"[0, {self.num_timesteps}]")
        self.check_times(t)
        return look_up(self._table(torch.device("cpu"), torch.float64), t)

    def at(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t for t of shape (b,), shaped to multiply `like` of shape (b, ...).

        They lie on the device of `like`, in float64 if it is float64 and else in float32. The
        look-up never waits for the device, so times outside [0, T] are refused on the host only.
        """
        count = len(tensor("like", like, "b", ...))
        if tensor("t", t, holds="numbers").shape != (count,):
            raise ValueError(
                f"t must have shape ({count},), one time per sample of the batch (like), got "
                f"{tuple(t.shape)}"
            )
        if t.device.type == "cpu":
            self.check_times(t)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        alpha, sigma = look_up(self._table(like.device, dtype), t.to(like.device))
        shape = (-1, *[1] * (like.ndim - 1))
        return alpha.view(shape), sigma.view(shape)

    def time(self, log_snr: Tensor | float) -> Tensor:
        """The real time at which ln(alpha² / sigma²) has this value: the inverse of the schedule.

        Returns:
            float64 on the host, in the shape of `log_snr`.

        Raises:
            ValueError: a log_snr below that of t = T.
        """
        log_snr = _host("log_snr", log_snr)
        angle = torch.atan(torch.exp(-log_snr / 2))
        angles = torch.atan2(self.sigma, self.alpha)
        # A rounding error at the very end must not refuse the schedule's own last log_snr.
        if not bool((angle <= angles[-1] * (1 + 1e-12)).all()):
            raise ValueError(
                f"log_snr must be at least {self.log_snr[-1].item():.4g}, its value at t = T, got "
                f"{log_snr.min().item():.4g}"
            )
        angle = angle.clamp(max=angles[-1].item())
        above = torch.searchsorted(angles, angle).clamp(1, self.num_timesteps)
        low, high = angles[above - 1], angles[above]
        return above - 1 + (angle - low) / (high - low)

    def check_times(self, t: Tensor) -> None:
        """Raise ValueError if a time lies outside [0, T]."""
        if t.numel() and not bool(((t >= 0) & (t <= self.num_timesteps)).all()):
            raise ValueError(
                f"times must lie in [0, {self.num_timesteps}], got values from "
                f"{t.min().item():.6g} to {t.max().item():.6g}"
            )

    def _table(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """(alpha, sigma, angle, norm) on a device, made from the exact table once."""
        key = (device, dtype)
        if key not in self._tables:
            angle, norm = torch.atan2(self.sigma, self.alpha), torch.hypot(self.alpha, self.sigma)
            rows = (self.alpha, self.sigma, angle, norm)
            self._tables[key] = tuple(v.to(dtype).to(device) for v in rows)
        return self._tables[key]


def look_up(table: tuple[Tensor, ...], t: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the table at integer times, an interpolated angle and norm between them."""
    alpha, sigma, angle, norm = table
    if not t.is_floating_point():
        return alpha[t], sigma[t]
    low = t.floor().long()
    high = t.ceil().long()
    part = (t - low).to(angle.dtype)
    angle_t, norm_t = (torch.lerp(v[low], v[high], part) for v in (angle, norm))
    exact = low == high
    return (
        torch.where(exact, alpha[low], norm_t * angle_t.cos()),
        torch.where(exact, sigma[low], norm_t * angle_t.sin()),
    )


def _column(name: str, values: Tensor) -> Tensor:
    """One number per time 1..T, float64 on the host."""
    if tensor(name, values, holds="numbers").ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} must have shape (T,) with T >= 1, got {tuple(values.shape)}")
    return values.detach().cpu().double()


def _host(name: str, value: Tensor | float, interval: str = "[-inf, inf]") -> Tensor:
    """A number in the interval, or numbers of any shape; float64 on the host."""
    if not isinstance(value, Tensor):
        return torch.tensor(number(name, value, interval), dtype=torch.float64)
    return tensor(name, value, holds="numbers").detach().to("cpu", torch.float64)
