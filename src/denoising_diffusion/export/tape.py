"""A model as a list of a few operations, which a page can do: the exported graph, translated."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx.node import map_arg

from denoising_diffusion.export import operations
from denoising_diffusion.export.estimate import Estimate
from denoising_diffusion.export.instruction import Instruction, Ref


@dataclass
class Tape:
    """Instructions in the order in which they are done, over values that are numbered.

    Args:
        inputs: how many of the first values are given.
        instructions: each makes the next value.
        weights: values that are parameters of the network, by their number.
        constants: other values that are known, in full precision.
        answer: the number of the estimate.
    """

    inputs: int
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    weights: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    constants: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    answer: int = -1
    count: int = 0

    def number(self) -> int:
        """That of a new value."""
        self.count += 1
        return self.count - 1

    def put(self, op: str, given: list[Any], shape: tuple[int, ...], **how: Any) -> Ref:
        """An instruction more: what it makes, of this shape."""
        numbers = [self._known(v) for v in given]
        exact = any(isinstance(v, Ref | Tensor) and v.dtype == torch.float64 for v in given)
        out = Ref(self.number(), tuple(shape), torch.float64 if exact else torch.float32)
        self.instructions.append(Instruction(op, numbers, out.number, out.shape, exact, how))
        return out

    def _known(self, value: Any) -> int:
        """The number of a value, which is kept if it is new."""
        if isinstance(value, Ref):
            return value.number
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.float64)
        for number, kept in (*self.weights.items(), *self.constants.items()):
            if kept is value:
                return number
        number = self.number()
        kept = self.weights if isinstance(value, torch.nn.Parameter) else self.constants
        kept[number] = value
        return number


def tape_of(estimate: Estimate, example: tuple[Tensor, ...]) -> Tape:
    """The estimate for inputs of just these shapes.

    What no input decides is worked out here.

    Raises:
        ValueError: the network does something that is not in `operations.TABLE`.
    """
    program = torch.export.export(estimate, example, strict=False)
    signature = program.graph_signature
    parameters = dict(estimate.named_parameters())
    held = {**program.state_dict, **program.constants, **parameters}
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    tape = Tape(len(example))
    values: dict[Any, Any] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in named:
            values[node] = held[named[node.name]]
        elif node.op == "placeholder":
            x = node.meta["val"]
            values[node] = Ref(tape.number(), tuple(x.shape), x.dtype)
        elif node.op == "output":
            tape.answer = values[node.args[0][0]].number
        else:
            given = map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = operations.done(tape.put, node, *given)
    return tape
