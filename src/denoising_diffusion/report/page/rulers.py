"""Scores on rulers: where a number stands between what real data and what noise would score."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from denoising_diffusion.report.page import asset

NOTES = ("judge", "num_samples", "parameters", "sampler", "steps", "network_evaluations")
"""Keys of an evaluation that are no scores."""
_CLOSENESS = (
    (85, "very close to real data"),
    (65, "close to real data"),
    (40, "half-way from noise to real data"),
)


@dataclass(frozen=True)
class Ruler:
    """A score as it is drawn; places are per cent from the worse end on the left.

    Args:
        key: of the score.
        title: what it is called.
        value: as it is written.
        interval: likewise; empty without.
        read: how to read it.
        beside: numbers to compare with that are no ends.
        at: where it stands; None where it has no ends.
        band: where its interval begins, and how wide it is.
        ends: what stands left and right.
        main: whether it is the score that comes first.
        number: its value.
    """

    key: str
    title: str
    value: str
    interval: str
    read: str
    beside: str
    at: float | None
    band: tuple[float, float]
    ends: tuple[str, str]
    main: bool
    number: float

    @property
    def said(self) -> str:
        """The ruler in words."""
        return f"{self.title} {self.value}, on a ruler from {self.ends[0]} to {self.ends[1]}"


@cache
def _reading() -> dict[str, dict[str, Any]]:
    return tomllib.loads(asset("reading.toml"))


def rulers(scores: Mapping[str, Any]) -> list[Ruler]:
    """The scores of an evaluation in its order, those with two ends on a ruler.

    Args:
        scores: as `metrics.score.to_json` writes them: `key`, `key_interval`, and beside them
            `key_floor` and `key_ceiling`; of the first one `floor` and `ceiling`.
    """
    numbers = {k: float(v) for k, v in scores.items() if _real(v) and k not in NOTES}
    main = next(iter(numbers), None)
    taken: set[str] = set()
    found: list[Ruler] = []
    for key, value in numbers.items():
        if key not in taken:
            parts = {p: numbers[f"{key}_{p}"] for p in _parts(key, numbers)}
            taken |= {f"{key}_{part}" for part in parts}
            further = [k for k in _reading().get(key, {}).get("beside", ()) if k in numbers]
            parts, taken = parts | {k: numbers[k] for k in further}, taken | set(further)
            if key == main:
                own = {p: numbers[p] for p in ("floor", "ceiling") if p in numbers}
                parts, taken = parts | own, taken | set(own)
            found.append(_ruler(key, value, parts, key == main))
    return found


def closeness(ruler: Ruler) -> str | None:
    """Where a score stands, in words; None where it has no ends."""
    if ruler.at is None:
        return None
    return next((w for least, w in _CLOSENESS if ruler.at >= least), "still nearer to noise")


def _parts(key: str, numbers: Mapping[str, float]) -> list[str]:
    """What stands beside a score: keys that begin with its own, but no longer score has."""
    longer = [k for k in numbers if k.startswith(f"{key}_") and k in _reading()]
    mine = [k for k in numbers if k.startswith(f"{key}_") and k not in longer]
    return [
        k[len(key) + 1 :] for k in mine if not any(k.startswith(f"{other}_") for other in longer)
    ]


def _ruler(key: str, value: float, parts: dict[str, float], main: bool) -> Ruler:
    known = _reading().get(key, {})
    interval, floor, ceiling = (parts.pop(p, None) for p in ("interval", "floor", "ceiling"))
    worst, best = (ceiling, floor) if known.get("better", "low") == "low" else (floor, ceiling)
    names = ("noise", "real data")
    if "from" in known:
        worst, best, names = known["from"], known["to"], ("worst", "best")
    percent = known.get("form") == "percent"

    def text(v: float) -> str:
        return f"{v:.2%}" if percent else f"{v:.3g}" if abs(v) < 100 else f"{v:,.0f}"

    at, band, ends = None, (0.0, 0.0), ("", "")
    if worst is not None and best is not None and worst != best:
        at = _place(value, worst, best)
        if interval is not None:
            low, high = sorted(_place(value + s * interval, worst, best) for s in (-1, 1))
            band = (low, round(high - low, 2))
        ends = (f"{names[0]} {text(worst)}", f"{names[1]} {text(best)}")
    else:
        parts |= {k: v for k, v in (("floor", floor), ("ceiling", ceiling)) if v is not None}
    beside = ", ".join(f"{k.replace('_', ' ')} {text(v)}" for k, v in parts.items())
    title = known.get("title", key.replace("_", " ").capitalize())
    error = "" if interval is None else text(interval)
    return Ruler(
        key, title, text(value), error, known.get("read", ""), beside, at, band, ends, main, value
    )


def _place(value: float, worst: float, best: float) -> float:
    """Per cent of the way from worst to best; in logarithms if both are above 0, tenfold apart."""
    if min(worst, best) > 0 and max(worst, best) / min(worst, best) > 10:
        value = max(value, 1e-30)
        share = math.log(value / worst) / math.log(best / worst)
    else:
        share = (value - worst) / (best - worst)
    return round(100 * min(1.0, max(0.0, share)), 2)


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
