"""What the benchmarks share: turns, networks of ours and of others, lines of JSON, tables."""

import importlib
import importlib.util
import json
import os
import platform
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

from denoising_diffusion import FiLMUNet, UNet
from denoising_diffusion.report import style
from denoising_diffusion.report.history import log_ticks

SIDE = 2048
"""Of the square matrices whose product is the machine's best rate."""
T = 100
"""Timesteps of our networks."""
# Shorter calls are repeated until a turn lasts this long, far above the resolution of the clock.
TURN_SECONDS = 0.05

Network = Callable[[Tensor, Tensor], Tensor]


def in_turn(
    calls: Mapping[str, Callable[[], object]], rounds: int, say: Callable[[str], None] = print
) -> dict[str, list[float]]:
    """Seconds of a call of each, in every round.

    Each takes its turn in every round, and every other round goes backwards, so that no one always
    follows the same other and a machine that slows down for a while slows all.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds):
        for name in list(calls)[:: 1 if i % 2 == 0 else -1]:
            times[name].append(seconds(calls[name], repeats[name]))
        say(f"  round {i + 1} of {rounds}")
    return times


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """The time of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _repeats(call: Callable[[], object]) -> int:
    """Calls in one turn; finding out warms up."""
    call()
    return max(1, round(TURN_SECONDS / max(seconds(call), 1e-7)))


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, median(values), high


def ratios(of: Sequence[float], to: Sequence[float]) -> tuple[float, float, float]:
    """The spread of the ratio within each round."""
    return spread([a / b for a, b in zip(of, to, strict=True)])


def matrix_product(dtype: torch.dtype, device: str = "cpu") -> Callable[[], Tensor]:
    """One product of two SIDE x SIDE matrices."""
    a, b = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b


@contextmanager
def _stand_ins(modules: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Modules that are imported and not used, for as long as something imports them."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    for name in missing:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(modules[name])
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def lucidrains() -> types.ModuleType:
    """The file of denoising-diffusion-pytorch with its Unet and GaussianDiffusion, alone.

    Its package imports torchvision and pytorch-fid, of which there is none beside a PyTorch for
    the CPU, for its loader and its score; neither takes part here.
    """
    name = "denoising_diffusion_pytorch"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise SystemExit(
                f"{name} is not installed; make benchmark makes an environment with it"
            )
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = list(spec.submodule_search_locations)
    unused = {
        "torchvision": {"transforms": None, "utils": None},
        "accelerate": {"Accelerator": None},
    }
    with _stand_ins(unused):
        return importlib.import_module(f"{name}.{name}")


def diffusers_unet(
    widths: tuple[int, ...] = (16, 32, 64), layers: int = 1, channels: int = 1, side: int = 28
) -> nn.Module:
    """UNet2DModel without attention, called with (x, t) for a tensor."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from diffusers import UNet2DModel  # pyright: ignore[reportMissingImports]

    class Plain(UNet2DModel):
        def forward(self, x, t):
            return super().forward(x, t, return_dict=False)[0]

    return Plain(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=layers,
        block_out_channels=widths,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        norm_num_groups=8,
        add_attention=False,
    )


def lucidrains_unet() -> nn.Module:
    """Unet of denoising-diffusion-pytorch, with the attention that it has by default."""
    return lucidrains().Unet(16, dim_mults=(1, 2, 4), channels=1)


class Labelled(nn.Module):
    """A network of ours as (x, t), with a label for every image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (b, 1, h, w) and t (b,) -> as x."""
        return self.network(x, t, torch.arange(len(x), device=x.device) % 10 + 1)


def film(middle: int = 5, **options: Any) -> nn.Module:
    options = {"patch": 2, "num_classes": 10, **options}
    return Labelled(FiLMUNet(1, 32, T, middle_blocks=middle, **options))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "film-unet": film,
    "film-unet, 6 middle blocks": lambda: film(6),
    "film-unet, 7 middle blocks": lambda: film(7),
    "unet": lambda: Labelled(UNet(1, 16, T, num_classes=10)),
    "diffusers UNet2DModel": diffusers_unet,
    "denoising-diffusion-pytorch Unet": lucidrains_unet,
}


def network(name: str) -> nn.Module:
    """One of NETWORKS, its weights moved so that none is 0, as trained ones are not."""
    torch.manual_seed(0)
    found = NETWORKS[name]()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return found


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def where() -> dict[str, Any]:
    """The machine, and what ran on it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        **{name: _version(name) for name in ("diffusers", "denoising-diffusion-pytorch")},
    }


def where_text(found: Mapping[str, Any]) -> str:
    """The same as a sentence."""
    peers = ", ".join(
        f"{name} {found[name]}"
        for name in ("diffusers", "denoising-diffusion-pytorch")
        if found.get(name)
    )
    return (
        f"{found['processor']}, {found['cores']} cores, {found['threads']} thread(s), load "
        f"{found['load']} at the start; torch {found['torch']}{', ' if peers else ''}{peers}"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines; a last one that was cut off is not there."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            found.append(json.loads(line))
    return found


def add_line(file: Path, record: Mapping[str, Any]) -> None:
    """Put a line behind the others; what was cut off of a last one goes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(r) + "\n" for r in (*read_lines(file), record)]
    write_text(file, "".join(lines))


def write_text(file: Path, text: str) -> None:
    """Write a file that is whole at any time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.tmp")
    beside.write_text(text)
    beside.replace(file)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def into_page(page: Path, name: str, text: str) -> None:
    """Put text into a page, between the lines `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    old = page.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"{page} has no lines {begin.strip()} and {end.strip()}")
    before, rest = old.split(begin, 1)
    _, after = rest.split(end, 1)
    write_text(page, f"{before}{begin}\n{text.strip()}\n\n{end}{after}")


def panels(width: int, height: int, count: int) -> tuple[Any, list[Any]]:
    """A figure of so many panels of this many pixels in a row, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure((count * width / style.DPI, height / style.DPI), dpi=style.DPI)
    return figure, style.panels(figure, count, count)


def log_axes(axes: Any) -> None:
    """Two logarithmic axes with few round numbers."""
    for scale, limits, ticks, minor in (
        (axes.set_xscale, axes.get_xlim, axes.set_xticks, axes.xaxis),
        (axes.set_yscale, axes.get_ylim, axes.set_yticks, axes.yaxis),
    ):
        scale("log")
        found = log_ticks(*limits())
        ticks(found, [f"{tick:g}" for tick in found])
        minor.set_ticks([], minor=True)
