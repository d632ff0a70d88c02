"""The few questions that arguments are asked; a refusal says what one takes and what it got."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from types import EllipsisType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def integer(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """The value as an int in low..high.

    Raises:
        TypeError: it is no integer; bool is none.
        ValueError: it lies outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        if high is None:
            raise ValueError(f"{name} must be at least {low}, got {number}")
        if low is None:
            raise ValueError(f"{name} must be at most {high}, got {number}")
        raise ValueError(f"{name} must lie in {low}..{high}, got {number}")
    return number


def number(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """The value as a float in an interval such as "[0, 1)"; a number that is not finite is in none.

    Raises:
        TypeError: it is no real number; bool is none.
        ValueError: it lies outside the interval.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        found = float(value)
    except OverflowError:  # an integer of more than 308 digits
        found = -math.inf if isinstance(value, Integral) and int(value) < 0 else math.inf
    low, high = (float(v) for v in interval[1:-1].split(","))
    above = found >= low if interval[0] == "[" else found > low
    below = found <= high if interval[-1] == "]" else found < high
    if above and below and math.isfinite(found):
        return found
    if math.isfinite(high):
        takes = f"lie in {interval}"
    elif math.isfinite(low):
        takes = f"be a finite number {'>=' if interval[0] == '[' else 'above'} {low:g}"
    else:
        takes = "be a finite number"
    raise ValueError(f"{name} must {takes}, got {found:g}")


def tensor(name: str, value: Any, *shape: int | str | EllipsisType, holds: str = "") -> "Tensor":
    """The value, if it is a tensor of this shape.

    Args:
        name: of the argument.
        value: what was given.
        shape: a size, a letter for any size, or ... for any further dimensions; nothing for any
            shape at all.
        holds: "numbers" (floating point or integers), "floats", "integers", or "" for anything.

    Raises:
        TypeError: it is no tensor, or one that holds something else.
        ValueError: it has another shape.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {shown(value)}")
    plain = not (value.is_complex() or value.dtype == torch.bool)
    right = {
        "": True,
        "numbers": plain,
        "floats": value.is_floating_point(),
        "integers": plain and not value.is_floating_point(),
    }[holds]
    if not right:
        raise TypeError(f"{name} must hold {holds}, got {value.dtype}")
    if shape and not _fits(value, shape):
        sizes = ", ".join("..." if n is ... else str(n) for n in shape)
        comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name} must have shape ({sizes}{comma}), got {tuple(value.shape)}")
    return value


def _fits(value: "Tensor", shape: tuple[int | str | EllipsisType, ...]) -> bool:
    named = shape[:-1] if shape[-1] is ... else shape
    if value.ndim < len(named) or (value.ndim > len(named) and shape[-1] is not ...):
        return False
    return all(
        isinstance(n, str) or value.shape[i] == n for i, n in enumerate(named) if n is not ...
    )


def finite(name: str, value: Any, *shape: int | str | EllipsisType) -> "Tensor":
    """A `tensor` of numbers, none of which is NaN or infinite; it waits for the device.

    Raises:
        TypeError, ValueError: as `tensor`; ValueError too for numbers that are not finite.
    """
    found = tensor(name, value, *shape, holds="numbers")
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name} holds values that are not finite")
    return found


def interval(name: str, value: Any) -> tuple[float, float]:
    """The value as (low, high), two finite numbers of which the first is lower.

    Raises:
        TypeError: it is no pair of numbers.
        ValueError: another count of them, or low is not below high.
    """
    instance(name, value, tuple, list)
    if len(value) != 2 or not number(f"{name}[0]", value[0]) < number(f"{name}[1]", value[1]):
        raise ValueError(f"{name} must be (low, high) with low below high, got {value}")
    return value[0], value[1]


def instance(name: str, value: Any, *kinds: type) -> Any:
    """The value, if it is of one of these classes.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kinds) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be a {names}, got {shown(value)}")
    return value


def function(name: str, value: Any) -> Any:
    """The value, if it can be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {shown(value)}")
    return value


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """The value, if it is one of these names; a refusal offers the nearest.

    Raises:
        ValueError: it is none of them.
    """
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(value, names, 1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]}?" if near else ""
    got = repr(value) if isinstance(value, str) else shown(value)
    raise ValueError(f"{name} must be one of {', '.join(names)}, got {got}{hint}")


def shown(value: Any) -> str:
    """The value in a few words, with its type."""
    kind = type(value).__name__
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return kind
    return kind if value is None or len(text) > 40 or "\n" in text else f"{kind} {text}"
