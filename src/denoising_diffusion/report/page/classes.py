"""What an evaluation says of classes, as a page shows it."""

from collections.abc import Mapping, Sequence
from typing import Any


def classes_of(class_names: Sequence[str], scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Shares, confusion and scores of each class, as far as they are there; None without any.

    Args:
        class_names: in order.
        scores: an evaluation as JSON: `class_proportions`, `confusion` row by row, `classes`.
    """
    names = list(class_names)
    if not names:
        return None
    shares: list[float] = scores.get("class_proportions") or []
    found: dict[str, Any] = {"names": names, "shares": [], "confusion": None, "agreement": None}
    if len(shares) == len(names):
        most = max(max(shares), 1e-9)
        found["shares"] = [
            {"name": n, "width": round(100 * v / most, 1), "text": f"{v:.1%}"}
            for n, v in zip(names, shares, strict=True)
        ]
    counts: list[float] = scores.get("confusion") or []
    if len(counts) == len(names) ** 2:
        found["confusion"] = [
            _tinted(counts[i : i + len(names)]) for i in range(0, len(counts), len(names))
        ]
    of_each = scores.get("classes")
    if isinstance(of_each, dict) and of_each:
        found["agreement"] = _of_each(of_each)
    there = found["shares"] or found["confusion"] or found["agreement"]
    return found if there else None


def _tinted(row: list[float]) -> list[dict[str, int]]:
    total = sum(row) or 1.0
    return [{"count": round(v), "tint": round(90 * v / total)} for v in row]


def _of_each(of_each: dict[str, dict[str, Any]]) -> dict[str, Any]:
    keys = [k for k, v in next(iter(of_each.values())).items() if isinstance(v, int | float)]
    keys = [k for k in keys if not k.endswith("_interval")]
    return {
        "title": "Scores of each class",
        "read": "As above, for each class by itself.",
        "columns": [k.replace("_", " ") for k in keys],
        "rows": [
            {"name": name, "cells": [_short(values.get(k)) for k in keys]}
            for name, values in of_each.items()
        ],
    }


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "–"
