"""Configurations as JSON: written whole, read strictly, merged and compared by key."""

import dataclasses
import json
import sys
import types
import typing
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

T = TypeVar("T")


def to_json(config: object) -> str:
    """A dataclass as JSON, indented, in the order of its fields."""
    text = json.dumps(dataclasses.asdict(cast(Any, config)), indent=2, ensure_ascii=False)
    return utf8(text).decode() + "\n"


def utf8(text: str) -> bytes:
    """JSON in UTF-8; bytes of a file's name that are none are escaped, as JSON does it."""
    return text.encode("utf-8", "backslashreplace")


def integer_of(text: str) -> int:
    """The integer that the digits in a text stand for.

    Raises:
        ValueError: Python takes fewer digits, or it is something else.
    """
    most = sys.get_int_max_str_digits()
    if 0 < most < len(text):
        raise ValueError(f"an integer of {len(text):,} digits, at most {most:,} are read")
    return int(text)


def read_config(kind: type[T], value: object, where: str = "") -> T:
    """A value parsed from JSON as this dataclass; nothing is converted and nothing ignored.

    Raises:
        ValueError: an unknown or missing key, a value of another type or beyond its limits; the
            key is named.
    """
    return cast(T, read_value(kind, value, where))


def read_value(kind: Any, value: Any, where: str) -> Any:
    """A value parsed from JSON as this type, which may be any that our dataclasses hold.

    Raises:
        ValueError: as `read_config`.
    """
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _read_union(get_args(kind), value, where)
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(where, f"one of {', '.join(map(str, get_args(kind)))}", value)
        return value
    if origin is tuple:
        return _read_tuple(get_args(kind), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        inner = get_args(kind)[1]
        return {k: read_value(inner, v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(cast(Any, kind), value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _wrong(where, "null" if kind is types.NoneType else kind.__name__, value)
    return value


def _read_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The value as null, else as the first type of the union that is an object, a list or neither
    of them, as the value is.
    """
    if value is None and types.NoneType in kinds:
        return None
    kinds = tuple(k for k in kinds if k is not types.NoneType)
    same = [k for k in kinds if _form(k) is _form(type(value))]
    plain = [k for k in kinds if _form(k) is None]
    return read_value((same or plain or kinds)[0], value, where)


def _form(kind: Any) -> type | None:
    """Whether values of this type are objects or lists in JSON, or neither."""
    origin = get_origin(kind) or kind
    if origin is dict or dataclasses.is_dataclass(kind):
        return dict
    return tuple if origin in (list, tuple) else None


def _read_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, "a list", value)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise _wrong(where, f"{len(kinds)} values", value)
    return tuple(read_value(kinds[i], v, f"{where}[{i}]") for i, v in enumerate(value))


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where or "configuration", "an object", value)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    dot = f"{where}." if where else ""
    for key in value:
        if key not in fields:
            raise ValueError(f"unknown key {dot}{key}; known are {', '.join(fields)}")
    for name, f in fields.items():
        required = f.default is f.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ValueError(f"missing key {dot}{name}")
    hints = typing.get_type_hints(kind)
    return kind(**{k: read_value(hints[k], v, f"{dot}{k}") for k, v in value.items()})


def _wrong(where: str, needed: str, got: object) -> ValueError:
    try:
        text = " ".join(repr(got).split())
    except ValueError:  # an integer of more digits than Python writes out
        text = type(got).__name__
    return ValueError(f"{where} must be {needed}, got {text}")


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with the changes laid over it; an object of another kind or name replaces whole."""
    merged = dict(base)
    for key, value in changes.items():
        old: Any = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        same = both and all(value.get(k, old.get(k)) == old.get(k) for k in ("kind", "name"))
        merged[key] = merge(old, value) if same else value
    return merged


def first_difference(a: object, b: object) -> str | None:
    """The dotted name of the first key in which two configurations differ, or None."""
    return _difference(dataclasses.asdict(cast(Any, a)), dataclasses.asdict(cast(Any, b)), "")


def _difference(a: Any, b: Any, where: str) -> str | None:
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return None if a == b else where
    for key in [*a, *(k for k in b if k not in a)]:
        found = _difference(a.get(key), b.get(key), f"{where}.{key}" if where else key)
        if found:
            return found
    return None
