"""Speed of our networks beside others', in turn within one run: `make benchmark`.

    python benchmarks/speed.py [--quick] [--only rates variants profile] [--docs docs/benchmarks.md]

A training step is the network's answer to a batch, its squared error, the gradient and Adam's step,
the same for all networks; sampling is one evaluation without a gradient. What is measured goes into
--out, block by block, and with --docs into the tables and the plot there.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import measuring as m
import speed_tables
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from denoising_diffusion import EMA, DiffusionLoss, GaussianDiffusion, cosine_beta_schedule, train

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
OURS = ("film-unet", "unet")
MATRIX, WHOLE = "matrix product", "film-unet, a whole step of ours"
# The largest relative error, in the norm, of answers and of gradients against float32 eager.
TOLERANCES = {"float32": (1e-4, 1e-3), "bfloat16": (0.03, 0.06)}
GROUPS = {
    "convolutions": ("conv",),
    "norms": ("norm",),
    "activations": ("silu", "gelu", "sigmoid", "softmax"),
    "concatenations": ("aten::cat",),
    "matrix products": ("addmm", "aten::mm", "bmm", "linear", "matmul", "attention"),
    "copies and casts": ("copy", "clone", "aten::to", "contiguous", "fill_", "zero", "empty"),
    "resizing": ("upsample", "pixel_"),
}
"""Of the time of operations, by what their names hold; the first that fits."""


class Stepper:
    """One network as it is trained and sampled, on one batch."""

    def __init__(self, name: str, batch: int, dtype: str, how: str = "eager") -> None:
        layout = torch.channels_last if "channels-last" in how else torch.contiguous_format
        self.network = m.network(name).to(memory_format=layout)
        self.run: Any = torch.compile(self.network) if "compiled" in how else self.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        generator = torch.Generator().manual_seed(1)
        draw = partial(torch.randn, batch, 1, 28, 28, generator=generator)
        self.x, self.target = (draw().to(memory_format=layout) for _ in range(2))
        self.t = torch.randint(1, m.T, (batch,), generator=generator)
        self.half = dtype == "bfloat16"

    def answer(self) -> Tensor:
        """The network's answer to the batch, in its precision."""
        half = torch.autocast("cpu", torch.bfloat16) if self.half else nullcontext()
        with half:
            return self.run(self.x, self.t)

    def backward(self) -> None:
        """The gradient of the squared error."""
        self.optimizer.zero_grad(set_to_none=True)
        (self.answer().float() - self.target).square().mean().backward()

    def train(self) -> None:
        """One optimiser step."""
        self.backward()
        self.optimizer.step()

    @torch.no_grad()
    def sample(self) -> Tensor:
        """One evaluation without a gradient."""
        return self.answer()

    def gradient(self) -> Tensor:
        """The gradient as one vector."""
        self.backward()
        return torch.cat(
            [p.grad.flatten() for p in self.network.parameters() if p.grad is not None]
        )


def whole_step(batch: int, dtype: str) -> Callable[[], object]:
    """A step of the library's own training: data, times, noise, clipping and two averages."""
    net = m.NETWORKS["film-unet"]().network
    model = GaussianDiffusion(cosine_beta_schedule(m.T), (1, 28, 28), net, prediction="v")
    loss = DiffusionLoss()

    def at_precision(*args):
        half = torch.autocast("cpu", torch.bfloat16) if dtype == "bfloat16" else nullcontext()
        with half:
            return loss(*args)

    walk = train(
        model,
        at_precision,
        (torch.rand(4096, 1, 28, 28) * 2 - 1, torch.arange(4096) % 10 + 1),
        torch.optim.Adam(model.parameters(), lr=1e-3),
        steps=10**6,
        batch_size=batch,
        seed=0,
        averages={"ema": EMA(model), "second": EMA(model)},
        max_grad_norm=1.0,
    )
    return lambda: next(walk)


def flops(name: str) -> tuple[int, int]:
    """Of one image: forward, and forward with backward."""
    stepper = Stepper(name, 2, "float32")
    found = []
    for call in (stepper.sample, stepper.backward):
        with FlopCounterMode(display=False) as counter:
            call()
        found.append(counter.get_total_flops() // 2)
    return found[0], found[1]


def rates(rounds: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Training and sampling of all networks, in turn with the machine's matrix product."""
    networks = {}
    for name in m.NETWORKS:
        forward, backward = flops(name)
        count = m.parameters(m.network(name))
        networks[name] = {"parameters": count, "forward": forward, "training": backward}
    runs = []
    for dtype, kind in DTYPES.items():
        for batch in batches:
            print(f"{dtype}, batch {batch}")
            steppers = {name: Stepper(name, batch, dtype) for name in m.NETWORKS}
            product = {MATRIX: m.matrix_product(kind)}
            trained = {n: s.train for n, s in steppers.items()}
            trained |= {WHOLE: whole_step(batch, dtype)} | product
            sampled = {n: s.sample for n, s in steppers.items()} | product
            runs += [
                {"what": what, "dtype": dtype, "batch": batch, "seconds": m.in_turn(calls, rounds)}
                for what, calls in (("training", trained), ("sampling", sampled))
            ]
    return {"networks": networks, "runs": runs}


def variants(rounds: int, batches: tuple[int, ...], compiled: bool) -> dict[str, Any]:
    """Ways to run our networks, whether they agree, and the times of those that do."""
    ways = ["eager", "channels-last", *(["compiled", "compiled, channels-last"] * compiled)]
    runs, agreement = [], []
    for name in OURS:
        for dtype in DTYPES:
            agreement += [agrees(name, dtype, how) for how in ways]
            steppers = {how: Stepper(name, batches[-1], dtype, how) for how in ways}
            print(f"{name}, {dtype}, batch {batches[-1]}")
            runs += [
                {"network": name, "dtype": dtype, "batch": batches[-1], "what": what}
                | {"seconds": m.in_turn(calls, rounds)}
                for what, calls in (
                    ("training", {h: s.train for h, s in steppers.items()}),
                    ("sampling", {h: s.sample for h, s in steppers.items()}),
                )
            ]
    return {"runs": runs, "agreement": agreement}


def agrees(name: str, dtype: str, how: str) -> dict[str, Any]:
    """Errors against float32 eager; beyond the tolerances nothing is measured."""
    plain, other = Stepper(name, 8, "float32"), Stepper(name, 8, dtype, how)
    errors = (
        _relative(other.sample().float(), plain.sample()),
        _relative(other.gradient(), plain.gradient()),
    )
    if not all(e <= limit for e, limit in zip(errors, TOLERANCES[dtype], strict=True)):
        raise SystemExit(
            f"{name}, {dtype}, {how}: answer and gradient are {errors[0]:.2g} and {errors[1]:.2g} "
            f"from float32 eager, which is beyond {TOLERANCES[dtype]}"
        )
    return {"network": name, "dtype": dtype, "how": how, "answer": errors[0], "gradient": errors[1]}


def _relative(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).norm() / wanted.norm()).item()


def parts(rounds: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Where the time of a training step goes: shares of the operations' own time, by group."""
    found = []
    for name in (*OURS, "diffusers UNet2DModel"):
        for dtype in DTYPES:
            stepper = Stepper(name, batches[-1], dtype)
            stepper.train()
            spent = _spent(stepper.backward, rounds)
            spent["optimiser"] = sum(_spent(stepper.optimizer.step, rounds).values())
            total = sum(spent.values())
            shares = {k: v / total for k, v in spent.items()}
            found.append({"network": name, "dtype": dtype, "batch": batches[-1], "shares": shares})
    return {"runs": found}


def _spent(call: Callable[[], object], times: int) -> dict[str, float]:
    """Microseconds of the operations themselves, by group."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(times):
            call()
    spent = dict.fromkeys((*GROUPS, "the rest"), 0.0)
    for event in seen.key_averages():
        key = event.key.lower()
        group = next((g for g, parts in GROUPS.items() if any(p in key for p in parts)), "the rest")
        spent[group] += event.self_cpu_time_total
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="batch 32, few rounds, no compiling")
    parser.add_argument("--only", nargs="+", choices=("rates", "variants", "profile"))
    parser.add_argument("--rounds", type=int, help="turns of every call; 9, quick 3")
    parser.add_argument("--threads", type=int, help="threads of torch; by default its own choice")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.json"))
    parser.add_argument("--docs", type=Path, help="the page whose tables are written")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 9)
    if rounds < 1 or (options.threads or 1) < 1:
        parser.error("--rounds and --threads must be at least 1")
    if options.threads:
        torch.set_num_threads(options.threads)
    batches = (32,) if options.quick else (32, 128)
    blocks: dict[str, Callable[[], dict[str, Any]]] = {
        "rates": lambda: rates(rounds, batches),
        "variants": lambda: variants(rounds, batches, compiled=not options.quick),
        "profile": lambda: parts(rounds, batches),
    }
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only or blocks:
        head = {"where": m.where(), "quick": options.quick, "rounds": rounds}
        found[name] = head | blocks[name]()
        m.write_text(options.out, json.dumps(found, indent=1) + "\n")
    for name in found:
        print(f"\n{speed_tables.TABLES[name](found[name])}")
    if options.docs:
        speed_tables.write(found, options.docs)


if __name__ == "__main__":
    main()
