"""Training on one GPU beside diffusers: images/s and the share of the measured matrix rate.

    python benchmarks/gpu.py [--rounds 9] [--batch-large 256] [--batch-small 1024] [--out FILE.json]
    python benchmarks/gpu.py --smoke         # a CPU will do; shows only that everything runs

Two sizes: U-Nets of some 35 million parameters at 32 x 32 x 3, and the small ones at 28 x 28. All
in bfloat16 with fused Adam; ways: as it is, channels last, compiled, and compiled with CUDA graphs
(torch.compile's mode "reduce-overhead"). All take turns within one process, on one card. No figure
of a GPU has been measured with it so far.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring as m
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from denoising_diffusion import FiLMUNet

SIDE = 8192
"""Of the square matrices whose product is a GPU's best rate; smaller ones do not fill it."""
WAYS = ("eager", "channels-last", "compiled", "CUDA graphs")
SIZES: dict[str, tuple[tuple[int, int, int], dict[str, Callable[[], nn.Module]]]] = {
    "large": (
        (3, 32, 32),
        {
            "ours": lambda: FiLMUNet(3, 192, 1000, channel_multipliers=(1, 2, 2), middle_blocks=5),
            "diffusers": lambda: m.diffusers_unet((128, 256, 256, 256), 2, 3, 32),
        },
    ),
    "small": (
        (1, 28, 28),
        {"ours": lambda: FiLMUNet(1, 32, 1000, patch=2), "diffusers": m.diffusers_unet},
    ),
}


def sync(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def step(network: nn.Module, shape: tuple[int, ...], batch: int, how: str, device: str) -> Any:
    """One training step on random images, ended when the device has ended it."""
    layout = torch.contiguous_format if how == "eager" else torch.channels_last
    network = network.to(device, memory_format=layout)
    run = network
    if how in ("compiled", "CUDA graphs"):
        mode = "reduce-overhead" if how == "CUDA graphs" else None
        run = torch.compile(network, mode=mode)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    x, target = (
        torch.randn(batch, *shape, device=device).to(memory_format=layout) for _ in range(2)
    )
    t = torch.randint(1, 1000, (batch,), device=device)

    def call() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            answer = run(x, t)
        (answer.float() - target).square().mean().backward()
        optimizer.step()
        sync(device)

    return call


def flops(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Of an image, forward and backward."""
    x, t = torch.randn(2, *shape), torch.ones(2)
    with FlopCounterMode(display=False) as counter:
        network(x, t).square().mean().backward()
    return counter.get_total_flops() // 2


def product(side: int, device: str) -> Callable[[], None]:
    """One product of two matrices in bfloat16."""
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))

    def call() -> None:
        a @ b
        sync(device)

    return call


def measure(size: str, batch: int, rounds: int, ways: tuple[str, ...], device: str) -> dict:
    """Times of a size: every network in every way, and of the matrix product, in turn.

    On a CPU the images are of 8 x 8 pixels.
    """
    shape, networks = SIZES[size]
    side = SIDE if device == "cuda" else 512
    shape = shape if device == "cuda" else (shape[0], 8, 8)
    found: dict[str, Any] = {"size": size, "batch": batch, "side": side, "networks": {}}
    calls: dict[str, Callable[[], object]] = {"matrix product": product(side, device)}
    for name, make in networks.items():
        plain = make()
        found["networks"][name] = {"parameters": m.parameters(plain), "flops": flops(plain, shape)}
        calls |= {f"{name}, {how}": step(make(), shape, batch, how, device) for how in ways}
    return found | {"seconds": m.in_turn(calls, rounds)}


def table(found: dict) -> str:
    """Images/s, the share of the matrix rate, and the ratio to the fastest way of diffusers."""
    seconds = found["seconds"]
    best = 2 * found["side"] ** 3 / min(seconds["matrix product"])
    theirs = [n for n in seconds if n.startswith("diffusers")]
    fastest = min(theirs, key=lambda n: m.spread(seconds[n])[1])
    rows = []
    for name, times in seconds.items():
        if name == "matrix product":
            continue
        network = found["networks"][name.split(",")[0]]
        rate = found["batch"] / m.spread(times)[1]
        rows.append(
            (
                name,
                f"{network['parameters']:,}",
                f"{network['flops'] / 1e9:.2f}",
                f"{rate:,.0f}",
                f"{network['flops'] * rate / best:.0%}",
                f"{m.ratios(seconds[fastest], times)[1]:.2f}",
            )
        )
    head = ("network", "parameters", "GFLOP an image", "images/s", "of the matrix rate")
    title = f"{found['size']}, batch {found['batch']}, matrix rate {best / 1e12:.3g} TFLOP/s"
    return f"{title}\n\n{m.table((*head, f'× {fastest}'), rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch-large", type=int, default=256)
    parser.add_argument("--batch-small", type=int, default=1024)
    parser.add_argument("--out", type=Path, help="a file for the times, JSON")
    parser.add_argument(
        "--smoke", action="store_true", help="on the CPU, 8 x 8, batch 2, one round"
    )
    options = parser.parse_args()
    for name in ("rounds", "batch_large", "batch_small"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    device = "cpu" if options.smoke else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing is measured; --smoke shows on a CPU that it runs")
    ways = WAYS[:2] if options.smoke else WAYS
    batches = {"large": options.batch_large, "small": options.batch_small}
    print(torch.cuda.get_device_name() if device == "cuda" else "Smoke form: no figures of a GPU.")
    print(m.where_text(m.where()))
    results = []
    for size in SIZES:
        batch, rounds = (2, 1) if options.smoke else (batches[size], options.rounds)
        results.append(measure(size, batch, rounds, ways, device))
        print(f"\n{table(results[-1])}")
    if options.out:
        m.write_text(options.out, json.dumps({"where": m.where(), "sizes": results}, indent=1))


if __name__ == "__main__":
    main()
