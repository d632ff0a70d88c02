"""Several processes as one: every function here also works, and does nothing, in a lone process."""

import contextlib
import os
from collections.abc import Callable, Generator
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from denoising_diffusion import locks

Value = TypeVar("Value")

_part: ContextVar[tuple[slice, int] | None] = ContextVar("part", default=None)


def world_size() -> int:
    """The number of processes that work together; 1 without a process group."""
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """The number of this process among them, from 0; 0 without a process group."""
    return dist.get_rank() if _joined() else 0


def is_main() -> bool:
    """Whether this process is the one that writes and speaks.

    Where torchrun started the process its answer holds outside `processes` too, so that what comes
    before and after the common work is also said once.
    """
    return rank() == 0 if _joined() else not _launched() or os.environ["RANK"] == "0"


def share(n: int) -> slice:
    """The part of this process of a global batch of n rows: the parts are equal and contiguous.

    Raises:
        ValueError: n is not divisible by the number of processes.
    """
    count = world_size()
    if n % count:
        raise ValueError(
            f"batch_size must be divisible by the number of processes, {count}, got {n}"
        )
    return slice(rank() * n // count, (rank() + 1) * n // count)


def drawn(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """The n rows of this process of what is drawn for the batches of all of them.

    Args:
        n: the rows of this process; within `part`, of that part.
        draw: number of rows -> that many rows, the same in every process, so that an example meets
            the same draws in any number of them.
    """
    rows, total = _part.get() or (share(n * world_size()), n * world_size())
    return draw(total)[rows]


@contextlib.contextmanager
def part(rows: slice, total: int) -> Generator[None]:
    """Within it `drawn` answers for these rows of a global batch of so many."""
    token = _part.set((rows, total))
    try:
        yield
    finally:
        _part.reset(token)


def all_sum(tensor: Tensor) -> Tensor:
    """The sum of this tensor over all processes, in its shape, dtype and on its device.

    Every process must call it with the same shape and dtype; the argument is left as it is.
    """
    if world_size() == 1:
        return tensor
    # NCCL reduces on its own devices alone.
    on_device = dist.get_backend() != "nccl" or tensor.is_cuda
    total = tensor.detach().clone() if on_device else tensor.detach().cuda()
    dist.all_reduce(total)
    return total.to(tensor.device)


def broadcast_object(value: Value) -> Value:
    """The value that process 0 holds; every process must call it."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def barrier() -> None:
    """Return when every process has called it."""
    if world_size() > 1:
        dist.barrier()


@contextlib.contextmanager
def processes(device_type: str) -> Generator[None]:
    """Join the processes that torchrun started, for as long as the context lasts.

    CUDA processes talk through NCCL and each takes the device of its LOCAL_RANK, others through
    gloo. Nothing happens in a process that was started alone, or where a group exists already.

    Args:
        device_type: "cpu" or "cuda"; any other works in a lone process alone.

    Raises:
        ValueError: several processes on a device that is neither, or fewer CUDA devices than
            processes on this machine.
    """
    if not _launched() or _joined():
        yield
        return
    if device_type not in ("cpu", "cuda"):
        raise ValueError(f"several processes need device cpu or cuda, got {device_type}")
    if device_type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"every process needs a CUDA device of its own: LOCAL_RANK is {local}, this "
                f"machine has {torch.cuda.device_count()}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def alone(path: Path) -> Generator[None]:
    """`locks.locked` for processes that work together: the first locks, and all learn of it.

    Raises:
        ValueError: another command is writing there.
    """
    with contextlib.ExitStack() as stack:
        refusal: str | None = None
        if is_main():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.locked(path))
            except (ValueError, OSError) as error:
                strerror = getattr(error, "strerror", None)
                refusal = f"{path}: cannot be written: {strerror}" if strerror else str(error)
        refusal = broadcast_object(refusal)
        if refusal is not None:
            raise ValueError(refusal)
        yield


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _launched() -> bool:
    """Whether torchrun started this process beside others."""
    found = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return found and int(os.environ["WORLD_SIZE"]) > 1
