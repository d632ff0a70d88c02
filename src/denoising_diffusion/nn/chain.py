"""Containers that carry conditions (times, labels, ...) beside the tensor they transform."""

from collections.abc import Callable, Iterator
from typing import overload

from torch import Tensor, nn

from denoising_diffusion.checks import checked, instance, integer, tensor


class Conditional(nn.Module):
    """The mark of modules that are called as (x, *conditions) rather than as (x).

    Containers look for this base class and never at a module's signature.
    """


def _apply(layer: nn.Module, x: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
    return layer(x, *conditions) if isinstance(layer, Conditional) else layer(x)


def _check_inputs(x: Tensor, conditions: tuple[Tensor, ...]) -> None:
    tensor("x", x)
    for condition in conditions:
        tensor("a condition", condition)


class ConditionalChain(Conditional):
    """Layers applied one after the other, the `Conditional` ones with all conditions.

    Layers are given by position or by name, not both; a named layer becomes the submodule of that
    name. A chain without layers returns x. `chain[2]` and `chain["name"]` are layers; `chain[1:3]`
    is a chain of the same layers under the same names.

    Args:
        layers: the layers in order; they are named "0", "1", ...
        named: the layers in order, under their own names.

    Raises:
        ValueError: positional and named layers together; a name that is empty, contains a dot or is
            an attribute every module has.
        TypeError: a layer that is no module; when called, x or a condition that is no tensor.
        IndexError, KeyError: indexed with a position or a name it does not have.
    """

    def __init__(self, /, *layers: nn.Module, **named: nn.Module) -> None:
        super().__init__()
        if layers and named:
            raise ValueError(
                f"layers must all be positional or all be named, got {len(layers)} positional and "
                f"{len(named)} named"
            )
        for name, layer in named.items() or ((str(i), layer) for i, layer in enumerate(layers)):
            if not name or "." in name or hasattr(self, name):
                raise ValueError(
                    f"the name of a layer must be new to the module, not empty and without dots, "
                    f"got {name!r}"
                )
            self.add_module(name, instance(f"layer {name!r}", layer, nn.Module))

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """The last layer's output for x; shapes and dtypes are those of the layers."""
        _check_inputs(x, conditions)
        for layer in self:
            x = _apply(layer, x, conditions)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[nn.Module]:
        return (layer for _, layer in self._items())

    @overload
    def __getitem__(self, index: int | str) -> nn.Module: ...
    @overload
    def __getitem__(self, index: slice) -> "ConditionalChain": ...
    def __getitem__(self, index: int | str | slice) -> nn.Module:
        items = self._items()
        if isinstance(index, slice):
            return ConditionalChain(**dict(items[index]))
        if isinstance(index, str):
            return dict(items)[index]
        return items[integer("index", index)][1]

    def _items(self) -> list[tuple[str, nn.Module]]:
        # named_children() would leave out the second place of a layer that is used twice
        return [(name, layer) for name, layer in self._modules.items() if layer is not None]


@checked
class ConditionalSkipConnection(Conditional):
    """`connection(layers(x, *conditions), x)`: the transformed tensor joined with the original.

    Args:
        layers: a module; it gets the conditions if it is `Conditional`.
        connection: (h, x) -> the joined tensor, such as `torch.add`.

    Raises:
        TypeError: layers that are no module, or a connection that cannot be called; when called, x
            or a condition that is no tensor.
    """

    def __init__(self, layers: nn.Module, connection: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.layers = layers
        self.connection = connection

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """The connection of the layers' output with x."""
        _check_inputs(x, conditions)
        return self.connection(_apply(self.layers, x, conditions), x)


class Parallel(Conditional):
    """The sum of branches, each with an input of its own: `f_0(x) + f_1(condition_1) + ...`.

    Args:
        branches: at least one module; the first is called with x, the others with the conditions
            in their order. Their outputs must have shapes that add.

    Raises:
        ValueError: no branches; when called, another number of inputs than of branches.
        TypeError: a branch that is no module; when called, x or a condition that is no tensor.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        if not branches:
            raise ValueError("branches must hold at least one module, got none")
        self.branches = nn.ModuleList(instance("a branch", b, nn.Module) for b in branches)

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """The sum of the branches' outputs."""
        _check_inputs(x, conditions)
        if 1 + len(conditions) != len(self.branches):
            raise ValueError(
                f"got {1 + len(conditions)} inputs (x and conditions) for "
                f"{len(self.branches)} branches"
            )
        first, *others = self.branches
        total = first(x)
        for branch, value in zip(others, conditions, strict=True):
            total = total + branch(value)
        return total
