"""Operations that move values and change none."""

from typing import Any

from denoising_diffusion.export.instruction import Put, Ref, Shapes


def view(put: Put, shapes: Shapes, x: Ref, *_: Any, **__: Any) -> Ref:
    """The same values in another shape."""
    return put("view", [x], shapes[0])


def slice(
    put: Put,
    shapes: Shapes,
    x: Ref,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Ref:
    """A part along one dimension."""
    if step != 1:
        raise ValueError("the page cannot do slices with steps, which this network needs")
    size = x.shape[dim]
    first = min(size, (start or 0) + (size if (start or 0) < 0 else 0))
    return put("slice", [x], shapes[0], dim=dim % len(x.shape), start=first)


def select(put: Put, shapes: Shapes, x: Ref, dim: int, index: int) -> Ref:
    """A part of one along a dimension, which goes."""
    dim %= len(x.shape)
    cut = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
    part = put("slice", [x], cut, dim=dim, start=index % x.shape[dim])
    return put("view", [part], shapes[0])


def chunk(put: Put, shapes: Shapes, x: Ref, parts: int, dim: int = 0) -> list[Ref]:
    """Parts along one dimension, one after the other."""
    dim %= len(x.shape)
    starts = [sum(s[dim] for s in shapes[:i]) for i in range(len(shapes))]
    return [
        put("slice", [x], shape, dim=dim, start=start)
        for shape, start in zip(shapes, starts, strict=True)
    ]


def cat(put: Put, shapes: Shapes, given: list[Any], dim: int = 0) -> Ref:
    """Values side by side along a dimension."""
    return put("cat", given, shapes[0], dim=dim % len(shapes[0]))


def stack(put: Put, shapes: Shapes, given: list[Any], dim: int = 0) -> Ref:
    """Values side by side along a new dimension."""
    dim %= len(shapes[0])
    one = (*shapes[0][:dim], 1, *shapes[0][dim + 1 :])
    return put("cat", [put("view", [v], one) for v in given], shapes[0], dim=dim)


def transpose(put: Put, shapes: Shapes, x: Ref, a: int, b: int) -> Ref:
    """Two dimensions change places."""
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return put("permute", [x], shapes[0], order=order)


def permute(put: Put, shapes: Shapes, x: Ref, order: list[int]) -> Ref:
    """All dimensions change places."""
    return put("permute", [x], shapes[0], order=[i % len(order) for i in order])


def unshuffle(put: Put, shapes: Shapes, x: Ref, r: int) -> Ref:
    """Squares of r × r pixels become channels."""
    b, c, h, w = x.shape
    apart = put("view", [x], (b, c, h // r, r, w // r, r))
    order = [0, 1, 3, 5, 2, 4]
    turned = put("permute", [apart], tuple(apart.shape[i] for i in order), order=order)
    return put("view", [turned], shapes[0])


def shuffle(put: Put, shapes: Shapes, x: Ref, r: int) -> Ref:
    """Channels become squares of r × r pixels."""
    b, c, h, w = x.shape
    apart = put("view", [x], (b, c // r**2, r, r, h, w))
    order = [0, 1, 4, 2, 5, 3]
    turned = put("permute", [apart], tuple(apart.shape[i] for i in order), order=order)
    return put("view", [turned], shapes[0])


def pad(put: Put, shapes: Shapes, x: Ref, room: list[int], *how: Any, **options: Any) -> Ref:
    """Zeros around the values."""
    if {*how, *options.values()} - {"constant", None, 0}:
        raise ValueError("the page cannot fill edges but with zeros")
    before = [0] * len(x.shape)
    for i in range(len(room) // 2):
        before[-1 - i] = room[2 * i]
    return put("pad", [x], shapes[0], before=before)
