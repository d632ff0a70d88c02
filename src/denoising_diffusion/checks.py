"""The few questions that arguments are asked; a refusal says what one takes and what it got."""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from types import EllipsisType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:
    from torch import Tensor

Checked = TypeVar("Checked", bound=Callable[..., Any])


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
        takes = f"be at least {low}" if high is None else f"be at most {high}"
        takes = takes if None in (low, high) else f"lie in {low}..{high}"
        got = number if number.bit_length() < 128 else f"one of {number.bit_length()} bits"
        raise ValueError(f"{name} must {takes}, got {got}")
    return number


def number(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """The value as a float in an interval such as "[0, 1)"; infinity lies in "[-inf, inf]".

    Raises:
        TypeError: it is no real number; bool is none.
        ValueError: it lies outside the interval.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        found = float(value)
        got = f"{found:g}"
    except OverflowError:  # an integer of 400 digits
        found, got = math.nan, "one too large for a float"
    low, high = (float(v) for v in interval[1:-1].split(","))
    above = found >= low if interval[0] == "[" else found > low
    below = found <= high if interval[-1] == "]" else found < high
    if above and below:
        return found
    if math.isfinite(high):
        takes = f"lie in {interval}"
    elif math.isfinite(low):
        takes = f"be a finite number {'>=' if interval[0] == '[' else 'above'} {low:g}"
    else:
        takes = "be a number" if interval[0] == "[" else "be a finite number"
    raise ValueError(f"{name} must {takes}, got {got}")


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
    enough = value.ndim >= len(named) if shape[-1] is ... else value.ndim == len(named)
    return enough and all(isinstance(n, str) or value.shape[i] == n for i, n in enumerate(named))


integers = functools.partial(tensor, holds="integers")
floats = functools.partial(tensor, holds="floats")


def finite(name: str, value: Any, *shape: int | str | EllipsisType) -> "Tensor":
    """A `tensor` of numbers, none of which is NaN or infinite; it waits for the device.

    Raises:
        TypeError, ValueError: as `tensor`; ValueError too for numbers that are not finite.
    """
    found = tensor(name, value, *shape, holds="numbers")
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name} holds values that are not finite")
    return found


def exact(name: str, value: Any, *shape: int | str | EllipsisType) -> "Tensor":
    """A `finite` tensor as float64 on the host, without its gradient.

    Raises:
        TypeError, ValueError: as `finite`.
    """
    return finite(name, value, *shape).detach().cpu().double()


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
    """The value, if it can be called; else a TypeError."""
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


def flag(name: str, value: Any) -> bool:
    """The value, if it is a bool; else a TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def sequence(name: str, value: Any, of: type = object, count: int | None = None) -> Sequence[Any]:
    """The value, if it is a sequence, not a string, of such items, and of this many.

    Raises:
        TypeError: it is none, or holds something else.
        ValueError: it holds more or fewer items.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"{name} must be a sequence, got {shown(value)}")
    for i, item in enumerate(value):
        instance(f"{name}[{i}]", item, of)
    if count not in (None, len(value)):
        raise ValueError(f"{name} must hold {count} items, got {len(value)}")
    return value


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """The value as a tuple, if it is a sequence of integers >= 1, and holds any.

    Raises:
        TypeError, ValueError: it is not.
    """
    found = tuple(integer(f"a value in {name}", v) for v in sequence(name, value))
    if not found or min(found) < 1:
        raise ValueError(
            f"{name} must hold at least one integer, all of them at least 1, got {found}"
        )
    return found


def within(name: str, value: "Tensor", low: float, high: float) -> "Tensor":
    """The tensor, if all its values, if any, lie in low..high; it waits for the device.

    Raises:
        ValueError: one does not, or is not a number.
    """
    if value.numel() and not bool(((value >= low) & (value <= high)).all()):
        least, most = value.min().item(), value.max().item()
        raise ValueError(
            f"{name} must lie in {low}..{high}, got values from {least:.6g} to {most:.6g}"
        )
    return value


def shown(value: Any) -> str:
    """The value in a few words, with its type."""
    kind = type(value).__name__
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return kind
    return kind if value is None or len(text) > 40 or "\n" in text else f"{kind} {text}"


Count = Annotated[int, 1]
"""At least 1."""
MAX_TIMESTEPS = 10**6
Timesteps = Annotated[int, 1, MAX_TIMESTEPS]
Sizes = Annotated[Sequence[int], sizes]
Positive = Annotated[float, "(0, inf)"]
Share = Annotated[float, "[0, 1]"]


def checked(function_or_class: Checked) -> Checked:
    """Every argument, or every one of a constructor, is asked what its annotation says.

    int, float, bool, Tensor, Callable and classes are asked by `integer`, `number`, `flag`,
    `tensor`, `function` and `instance`, with what stands beside them in Annotated, as in
    Annotated[int, 1, 10] or Annotated[Tensor, "n", "d"]; of Annotated[Tensor, finite, "n"] another
    question is asked, finite(name, value, "n"). What it answers is handed on: 2 for numpy's 2.
    Nothing is asked of other annotations. Not for what torch compiles, which cannot look inside.
    """
    if isinstance(function_or_class, type):
        made: Any = function_or_class
        made.__init__ = checked(made.__init__)
        return made
    signature = inspect.signature(function_or_class)
    own = {n: p.annotation for n, p in signature.parameters.items() if p.kind not in _VARIADIC}
    questions = {n: q for n, kind in own.items() if (q := _question(kind))}

    @functools.wraps(function_or_class)
    def asked(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        for name, question in questions.items():
            if name in given.arguments:
                given.arguments[name] = question(name, given.arguments[name])
        return function_or_class(*given.args, **given.kwargs)

    found: Any = asked
    return found


def _question(kind: Any) -> Callable[[str, Any], Any] | None:
    """What asks for this annotation; None if nothing does."""
    parts, origin = get_args(kind), get_origin(kind)
    if origin is Annotated:
        ask, *more = (
            parts[1:] if callable(parts[1]) else (_QUESTIONS[parts[0].__name__], *parts[1:])
        )
        return lambda name, value: ask(name, value, *more)
    if origin in (Union, UnionType):
        some = [k for k in parts if k is not NoneType]
        inner = _question(some[0]) if len(some) == 1 else _any_of(some)
        if inner is None or NoneType not in parts:
            return inner
        return lambda name, value: None if value is None else inner(name, value)
    if origin is Literal:
        return lambda name, value: one_of(name, value, parts)
    kind = origin or kind
    if kind in (Any, inspect.Parameter.empty) or not isinstance(kind, type):
        return None
    return _QUESTIONS.get(kind.__name__) or _any_of([kind])


def _any_of(kinds: list[Any]) -> Callable[[str, Any], Any] | None:
    if not all(isinstance(k, type) and get_origin(k) is None for k in kinds):
        return None
    return lambda name, value: instance(name, value, *kinds)


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_QUESTIONS: dict[str, Callable[..., Any]] = {
    "int": integer,
    "float": number,
    "bool": flag,
    "Tensor": tensor,
    "Callable": function,
    "Sequence": sequence,
}
