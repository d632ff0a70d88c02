"""The operations of torch that a page can do, each as one or a few of its own."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from denoising_diffusion.export import moves
from denoising_diffusion.export.instruction import Put, Ref, Shapes


def done(put: Put, node: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a node makes: worked out now where it depends on no input.

    Raises:
        ValueError: an operation that is not in the table.
    """
    if node.target is operator.getitem:
        return args[0][args[1]]
    if not _depends(args) and not _depends(list(options.values())):
        return node.target(*args, **options)
    name = str(node.target).removeprefix("aten.").split(".")[0]
    if name.startswith("_assert"):
        return None
    if name not in TABLE:
        raise ValueError(f"the page cannot do {node.target}, which this network needs; take onnx")
    made = node.meta["val"]
    shapes = [tuple(v.shape) for v in (made if isinstance(made, list | tuple) else [made])]
    return TABLE[name](put, shapes, *args, **options)


def _depends(value: Any) -> bool:
    if isinstance(value, Ref):
        return True
    return isinstance(value, list | tuple) and any(map(_depends, value))


def _same(op: str) -> Callable[..., Ref]:
    """Operations on numbers, of one input or of several that are spread to one shape."""

    def emit(put: Put, shapes: Shapes, *given: Any, **ignored: Any) -> Ref:
        return put(op, list(given), shapes[0])

    return emit


def _nearest(put: Put, shapes: Shapes, x: Ref, *_: Any, **__: Any) -> Ref:
    return put("nearest", [x], shapes[0])


def _filled(value: float) -> Callable[..., Tensor]:
    """Values that depend on nothing but the shape of an input, which is known."""

    def emit(put: Put, shapes: Shapes, x: Ref, **_: Any) -> Tensor:
        return torch.full(shapes[0], value, dtype=x.dtype)

    return emit


def _to(put: Put, shapes: Shapes, x: Ref, *how: Any, **options: Any) -> Ref:
    """Another type; whole numbers and truths are kept as the floats they equal."""
    dtype = next((v for v in (*how, *options.values()) if isinstance(v, torch.dtype)), x.dtype)
    if dtype != torch.float32 or x.dtype == torch.float32:
        made = put("view", [x], shapes[0])
        return made._replace(dtype=dtype)
    return put("round", [x], shapes[0])._replace(dtype=torch.float32)


def _add(put: Put, shapes: Shapes, a: Any, b: Any, alpha: float = 1) -> Ref:
    if alpha != 1:
        b = put("mul", [b, alpha], b.shape)
    return put("add", [a, b], shapes[0])


def _addcmul(put: Put, shapes: Shapes, a: Any, b: Any, c: Any, *, value: float = 1) -> Ref:
    return _add(put, shapes, a, put("mul", [b, c], shapes[0]), value)


def _sub(put: Put, shapes: Shapes, a: Any, b: Any, alpha: float = 1) -> Ref:
    return _add(put, shapes, a, put("mul", [b, -alpha], getattr(b, "shape", ())))


def _rsub(put: Put, shapes: Shapes, a: Any, b: Any, alpha: float = 1) -> Ref:
    return _sub(put, shapes, b, a, alpha)


def _lerp(put: Put, shapes: Shapes, a: Any, b: Any, part: Any) -> Ref:
    way = _sub(put, shapes, b, a)
    return put("add", [a, put("mul", [way, part], shapes[0])], shapes[0])


def _clamp(put: Put, shapes: Shapes, x: Any, min: Any = None, max: Any = None) -> Ref:
    for op, limit in (("max", min), ("min", max)):
        x = x if limit is None else put(op, [x, limit], shapes[0])
    return x


def _reciprocal(put: Put, shapes: Shapes, x: Ref) -> Ref:
    return put("div", [1.0, x], shapes[0])


def _index(put: Put, shapes: Shapes, table: Any, indices: list[Any]) -> Ref:
    (rows,) = indices
    return put("rows", [table, rows], shapes[0])


def _embedding(put: Put, shapes: Shapes, table: Tensor, rows: Ref, *_: Any) -> Ref:
    return put("rows", [table, rows], shapes[0])


def _linear(put: Put, shapes: Shapes, x: Any, weight: Tensor, bias: Tensor | None = None) -> Ref:
    return put("linear", [x, weight, *([] if bias is None else [bias])], shapes[0])


def _convolution(
    put: Put,
    shapes: Shapes,
    x: Any,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Ref:
    if groups != 1 or {*_both(dilation)} != {1}:
        raise ValueError("the page cannot do convolutions in groups or with gaps between weights")
    # A signal is an image one pixel high.
    flat = len(shapes[0]) == 3
    kernel = [1, weight.shape[2]] if flat else list(weight.shape[2:])
    how = {"kernel": kernel, "stride": _both(stride), "padding": _both(padding)}
    how["padding"] = [0, how["padding"][1]] if flat else how["padding"]
    how["stride"] = [1, how["stride"][1]] if flat else how["stride"]
    return put("conv", [x, weight, *([] if bias is None else [bias])], shapes[0], **how)


def _both(value: Any) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * 2 if len(values) == 1 else values


def _group_norm(
    put: Put,
    shapes: Shapes,
    x: Any,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float = 1e-5,
    *_: Any,
) -> Ref:
    return put("norm", [x, weight, bias], shapes[0], groups=groups, eps=eps)


def _gelu(put: Put, shapes: Shapes, x: Ref, *, approximate: str = "none") -> Ref:
    if approximate != "tanh":
        raise ValueError("the page cannot do gelu but by its approximation with tanh")
    return put("gelu", [x], shapes[0])


def _attention(put: Put, shapes: Shapes, q: Ref, k: Ref, v: Ref) -> Ref:
    return put("attention", [q, k, v], shapes[0])


TABLE: dict[str, Callable[..., Any]] = {
    **{n: _same(n) for n in ("mul", "div", "pow", "eq", "where")},
    **{n: _same(n) for n in ("sin", "cos", "exp", "log", "sqrt", "floor", "ceil", "neg", "silu")},
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze"), moves.view
    ),
    **dict.fromkeys(("contiguous", "clone", "dropout", "alias", "detach"), moves.view),
    **dict.fromkeys(("to", "_to_copy", "float", "double"), _to),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _nearest),
    **dict.fromkeys(("conv1d", "conv2d"), _convolution),
    "zeros_like": _filled(0.0),
    "ones_like": _filled(1.0),
    "add": _add,
    "addcmul": _addcmul,
    "sub": _sub,
    "rsub": _rsub,
    "lerp": _lerp,
    "clamp": _clamp,
    "reciprocal": _reciprocal,
    "slice": moves.slice,
    "select": moves.select,
    "chunk": moves.chunk,
    "split": moves.chunk,
    "cat": moves.cat,
    "stack": moves.stack,
    "transpose": moves.transpose,
    "permute": moves.permute,
    "pixel_unshuffle": moves.unshuffle,
    "pixel_shuffle": moves.shuffle,
    "index": _index,
    "embedding": _embedding,
    "linear": _linear,
    "group_norm": _group_norm,
    "gelu": _gelu,
    "scaled_dot_product_attention": _attention,
    "pad": moves.pad,
    "constant_pad_nd": moves.pad,
}
