"""The figures of the theory page: drawn at every build, of laws whose best denoiser is known."""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

import denoising_diffusion as dd
from _sphinx.formulae import DOCS
from denoising_diffusion.report.style import SERIES

sys.path.insert(0, str(DOCS.parent / "tests"))
from mixtures import Mixture

SCHEDULE = dd.Schedule.from_betas(dd.cosine_beta_schedule(100))
# Ink, grid and background of light and dark pages; colours of lines are those of all plots.
INKS = {"light": ("#30343a", "#dfe3e8", "#ffffff"), "dark": ("#cfd4da", "#3a4048", "#131416")}


def line(*parts: tuple[float, float, float]) -> Mixture:
    """A law on the line, of (weight, mean, standard deviation)."""
    weight, mean, std = (torch.tensor(v, dtype=torch.float64) for v in zip(*parts, strict=True))
    return Mixture(weight, mean[:, None], std.square()[:, None, None])


def plane(*means: tuple[float, float], std: float = 0.12) -> Mixture:
    """A law in the plane, of equal round parts."""
    mean = torch.tensor(means, dtype=torch.float64)
    eye = torch.eye(2, dtype=torch.float64)
    return Mixture(
        torch.full((len(mean),), 1 / len(mean)), mean, (std**2 * eye).expand(len(mean), 2, 2)
    )


LINE = line((0.35, -1.0, 0.12), (0.4, 0.15, 0.2), (0.25, 1.1, 0.08))


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Noise of a seed, float64."""
    return torch.randn(*shape, generator=dd.stream(seed, "figures"), dtype=torch.float64)


def schedules(figure: Any, ink: str) -> None:
    """Alpha and sigma of three schedules, and what they mean for the signal-to-noise ratio."""
    from denoising_diffusion.rectified_flow import rectified_flow

    left, right = figure.subplots(1, 2)
    linear = dd.Schedule.from_betas(dd.linear_beta_schedule(100))
    found = {"cosine": SCHEDULE, "linear": linear, "rectified flow": rectified_flow()}
    for colour, (name, schedule) in zip(SERIES, found.items(), strict=False):
        left.plot(schedule.alpha, color=colour, label=name)
        left.plot(schedule.sigma, color=colour, linestyle="--")
        right.plot(range(1, 100), schedule.log_snr[1:100], color=colour, label=name)
    left.set(xlabel="t", title="signal α (solid) and noise σ (dashed)")
    right.set(xlabel="t", title="log-SNR, ln(α² / σ²)")
    right.legend(frameon=False, labelcolor=ink)


def forward(figure: Any, ink: str) -> None:
    """A spiral under more and more noise."""
    x = dd.make_spiral(1200, generator=dd.stream(0, "spiral")).double()
    noise = randn(len(x), 2)
    for axes, t in zip(figure.subplots(1, 5), (0, 10, 25, 50, 100), strict=True):
        alpha, sigma = SCHEDULE(t)
        axes.scatter(*(alpha * x + sigma * noise).T, s=1.5, color=SERIES[0], rasterized=True)
        _square(axes, f"t = {t}", 2.6)


def _square(axes: Any, title: str, reach: float) -> None:
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], title=title)
    axes.set_aspect("equal")


def walks(figure: Any, ink: str) -> None:
    """Paths of three samplers through the densities of all times, from the same noise."""
    times, places = torch.linspace(100, 0, 201), torch.linspace(-2.6, 2.6, 261)
    density = torch.stack([_density(places.double(), t.item()) for t in times.flip(0)])
    kinds: dict[str, Callable[..., Iterator[dd.Step]]] = {
        "ddpm, or ddim with eta = 1": dd.ddpm,
        "eta = 0.3": lambda *a, **k: dd.ddim(*a, eta=0.3, **k),
        "ddim, eta = 0": dd.ddim,
    }
    paper = next(p for i, _, p in INKS.values() if i == ink)
    blues = LinearSegmentedColormap.from_list(
        "blues", [paper, "#7fabdf" if paper == "#ffffff" else "#2a5f9e"]
    )
    start = torch.linspace(-1.9, 1.9, 9, dtype=torch.float64)[:, None]
    for axes, (name, sampler) in zip(
        figure.subplots(1, 3, sharey=True), kinds.items(), strict=True
    ):
        shown = density / density.amax(1, keepdim=True)
        axes.imshow(
            shown.T,
            extent=(0, 100, -2.6, 2.6),
            origin="lower",
            aspect="auto",
            cmap=blues,
        )
        fresh = dd.stream(3, "walks")

        def noise(x: Tensor, fresh: torch.Generator = fresh) -> Tensor:
            return torch.randn(x.shape, generator=fresh, dtype=x.dtype)

        denoise = LINE.denoiser(SCHEDULE)
        steps = list(sampler(denoise, SCHEDULE, start, list(range(100, -1, -1)), randn_like=noise))
        path = torch.stack([start, *(s.x for s in steps)])[..., 0]
        axes.plot([100.0, *(s.t for s in steps)], path, color=SERIES[1], linewidth=0.9)
        axes.set(xlabel="t", title=name, xlim=(100, 0), ylim=(-2.6, 2.6))
        axes.grid(visible=False)


def _density(x: Tensor, t: float) -> Tensor:
    alpha, sigma = (v.expand(len(x)) for v in SCHEDULE(t))
    return LINE.log_parts(x[:, None], alpha, sigma).logsumexp(1).exp()


@cache
def errors() -> dict[str, list[tuple[int, float]]]:
    """Of each sampler, evaluations of the denoiser and the distance from the end of the ODE."""
    from denoising_diffusion.samplers.grids import log_snr_grid

    # The step to clean data errs by sigma², whatever walks: it is left out of what is compared.
    law, x = plane((-0.9, 0.3), (0.5, 0.9), (0.4, -0.8), std=0.3), randn(40, 2)
    named = ("ddim", "heun", "dpmpp_2m", "dpmpp_3m", "unipc")
    counts = (8, 16, 32, 64, 128)

    def end(sampler: Any, steps: int) -> tuple[Tensor, int]:
        times = log_snr_grid(SCHEDULE, steps + 1)[:-1]
        denoise = dd.counted(law.denoiser(SCHEDULE))
        return dd.last(sampler(denoise, SCHEDULE, x, times)).x, denoise.evaluations

    exact, _ = end(dd.unipc, 1024)
    found: dict[str, list[tuple[int, float]]] = {}
    for name in named:
        ends = [end(getattr(dd, name), n) for n in counts]
        found[name] = [(n, (e - exact).square().sum(1).mean().sqrt().item()) for e, n in ends]
    return found


def orders(figure: Any, ink: str) -> None:
    """How far the end of a walk is from that of the ODE, with the evaluations that it took."""
    axes = figure.subplots(1, 1)
    for colour, (name, points) in zip(SERIES, errors().items(), strict=False):
        axes.loglog(*zip(*points, strict=True), "o-", markersize=3, color=colour, label=name)
    axes.set(xlabel="evaluations of the denoiser", title="distance from the end of the ODE")
    axes.legend(frameon=False, labelcolor=ink)


@cache
def guided() -> tuple[Tensor, dict[float, Tensor]]:
    """Samples of the other of two classes, and of the one at each guidance scale."""
    here = plane((-0.55, 0.1), (0.1, 0.75), (0.45, 0.2), std=0.17)
    other = plane((0.5, -0.25), (-0.35, -0.75), (-0.1, -0.35), std=0.17)
    both = Mixture(
        torch.full((6,), 1 / 6),
        torch.cat([here.mean, other.mean]),
        torch.cat([here.covariance, other.covariance]),
    )
    one, all_of = here.denoiser(SCHEDULE), both.denoiser(SCHEDULE)

    def denoise(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return torch.where(labels[:, None] == 1, one(x, t), all_of(x, t))

    start, found = randn(500, 2, seed=1), {}
    for scale in (0.0, 1.0, 2.0, 5.0):
        towards = dd.ClassifierFreeGuidance(denoise, torch.ones(500, dtype=torch.long), scale)
        found[scale] = dd.last(dd.heun(towards, SCHEDULE, start, dd.time_grid(100, 50))).x
    return other.sample(500, dd.stream(2, "other")), found


def guidance(figure: Any, ink: str) -> None:
    """Samples of one class of two, at four guidance scales."""
    behind, found = guided()
    for axes, (scale, x) in zip(figure.subplots(1, 4), found.items(), strict=True):
        axes.scatter(*behind.T, s=2, color=ink, alpha=0.25, linewidths=0, rasterized=True)
        axes.scatter(*x.T, s=2, color=SERIES[1], rasterized=True)
        _square(axes, f"scale {scale:g}", 1.45)


FIGURES = {
    "schedules": (schedules, 7.6, 2.9),
    "forward": (forward, 7.6, 1.9),
    "walks": (walks, 7.6, 3.0),
    "orders": (orders, 5.2, 3.4),
    "guidance": (guidance, 7.6, 2.25),
}


def draw(name: str) -> None:
    """Write a figure in the colours of light and of dark pages, into docs/_figures."""
    function, width, height = FIGURES[name]
    (DOCS / "_figures").mkdir(exist_ok=True)
    for mode, (ink, grid, paper) in INKS.items():
        keys = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
        look: dict[str, Any] = dict.fromkeys(keys, ink)
        look |= {
            "axes.edgecolor": grid,
            "grid.color": grid,
            "axes.facecolor": paper,
            "font.size": 8,
        }
        look |= {
            "axes.titlesize": 9,
            "axes.grid": True,
            "svg.hashsalt": name,
            "axes.axisbelow": True,
        }
        with rc_context(look):
            figure = Figure((width, height), layout="constrained", dpi=220)
            function(figure, ink)
            path = DOCS / "_figures" / f"{name}-{mode}.svg"
            figure.savefig(path, transparent=True, metadata={"Date": None})
