"""Two processes equal one. As a script under torchrun this file is what the processes run."""

import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from denoising_diffusion import distributed, files, training
from denoising_diffusion.config import RunConfig
from denoising_diffusion.data import as_rows
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.ema import EMA
from denoising_diffusion.loss import held_out_loss
from denoising_diffusion.nn import MLP, UNet
from denoising_diffusion.recipes import recipe
from denoising_diffusion.run import Run, folder, loop, prepare
from denoising_diffusion.run.build import build_diffusion, build_loss
from denoising_diffusion.run.stop import Interrupted
from denoising_diffusion.schedule import Schedule, cosine_beta_schedule
from denoising_diffusion.seeds import stream
from denoising_diffusion.training import train

T = 10
STOPPED_AFTER = 20


def tiny(**training) -> RunConfig:
    config = recipe("spiral")
    options = {"epochs": 8, "batch_size": 60, "warmup_steps": 0, "label_dropout": 0.0, **training}
    return dataclasses.replace(
        config,
        data={**config.data, "size": 300},
        network={"kind": "mlp", "hidden": 8, "num_layers": 1},
        schedule={"kind": "cosine", "timesteps": 5},
        training=dataclasses.replace(config.training, **options),
    )


def diffusion(shape: tuple[int, ...]) -> GaussianDiffusion:
    torch.manual_seed(0)
    if len(shape) == 1:
        network = MLP(T, in_dim=2, hidden=8, num_layers=2, num_classes=3)
    else:
        network = UNet(1, 4, T, channel_multipliers=(1, 2), block_groups=2, num_classes=3)
    return GaussianDiffusion(Schedule.from_betas(cosine_beta_schedule(T)), shape, network)


def examples(n: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, *shape, generator=generator)
    return x, torch.randint(1, 4, (n,), generator=generator)


def steps_of(
    shape: tuple[int, ...], optimizer: str, accumulate: int = 1
) -> dict[str, torch.Tensor]:
    """Six steps with everything that `train` offers: weights, average, losses, held-out loss."""
    loss = build_loss(tiny(label_dropout=0.3))
    model, data = diffusion(shape), examples(21, shape)
    ema = EMA(model, 0.9)
    taken = train(
        model,
        loss,
        data,
        getattr(torch.optim, optimizer)(model.parameters(), lr=1e-2),
        steps=6,
        batch_size=8,
        seed=5,
        accumulate=accumulate,
        averages={"ema": ema},
        learning_rate=lambda k: 0.02 / k,
        max_grad_norm=0.1,
    )
    losses = torch.stack([s.loss for s in taken])
    held_out = held_out_loss(model.eval(), as_rows(examples(2501, shape)), loss.error)
    found = {"losses": losses, "held_out": torch.tensor(held_out, dtype=torch.float64)}
    found |= {f"weight.{k}": v.detach() for k, v in model.named_parameters()}
    return found | {f"average.{k}": v for k, v in ema.model.named_parameters()}


def points_in_float64(accumulate: int = 1) -> dict[str, torch.Tensor]:
    torch.set_default_dtype(torch.float64)
    try:
        return steps_of((2,), "Adam", accumulate)
    finally:
        torch.set_default_dtype(torch.float32)


def images() -> dict[str, torch.Tensor]:
    # Adam would turn the rounding of gradients that are zero but for it into whole steps.
    return steps_of((1, 8, 8), "SGD")


def together(part: torch.Tensor) -> torch.Tensor:
    """The parts of all processes in one tensor."""
    total = len(part) * distributed.world_size()
    whole = torch.zeros(total, *part.shape[1:], dtype=part.dtype)
    whole[distributed.share(total)] = part
    return distributed.all_sum(whole)


def draws() -> dict[str, torch.Tensor]:
    """What the loss hands to the model, for a global batch of 12."""
    found: dict[str, torch.Tensor] = {}

    class Spy(GaussianDiffusion):
        def p_losses(self, x_start, t, noise, *conditions, loss):
            found.update(x=x_start, t=t, noise=noise, labels=conditions[0])
            return x_start.sum(1)

    model = diffusion((2,))
    spy = Spy(model.schedule, (2,), model.denoise_fn)
    x, labels = examples(12, (2,))
    mine = distributed.share(12)
    loss = build_loss(tiny(label_dropout=0.5))
    loss(spy, (x[mine], labels[mine]), stream(3, "step", 0))
    return {k: together(v) for k, v in found.items()}


def whole_run(path: Path) -> dict[str, torch.Tensor]:
    """A run that the last process asks to stop at step 13, and that then goes on to its end."""
    config, run = tiny(), Run(path)
    run.data = prepare.load_data(config.data)
    config = dataclasses.replace(config, facts=prepare.facts_of(run.data))
    if distributed.is_main():
        run.create(config)
    distributed.barrier()
    previews: list[int] = []

    def trainer() -> loop.Trainer:
        model = build_diffusion(run.config)
        made = loop.Trainer(run, model, run.data, lambda _, epoch: previews.append(epoch))
        made.restore()
        return made

    first = trainer()
    last = distributed.rank() == distributed.world_size() - 1
    asked_at = 13 if distributed.world_size() > 1 else STOPPED_AFTER
    with pytest.raises(Interrupted):
        first.run_to_end(lambda: last and first.step >= asked_at)
    second = trainer()
    started = second.step
    second.run_to_end(lambda: False)
    history = run.history.read()
    values = [[row["loss"], row["val_loss"], row["step"]] for row in history]
    numbers = [first.step, started, second.step, len(history), len(previews)]
    found = {f"weight.{k}": v.detach() for k, v in second.sampling_model.named_parameters()}
    found["history"] = torch.tensor(values, dtype=torch.float64)
    return found | {"numbers": together(torch.tensor([numbers]))}


def writers_but_the_first_fail() -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("only the first process writes")

    if distributed.rank() > 0:
        loop.write_tensors = folder.write = files.write = refuse
        Run.append_history = refuse


def facts() -> dict[str, torch.Tensor]:
    """Small answers, of every process."""
    n, model = distributed.rank(), diffusion((2,))
    prepare.measure = lambda *_: {"float32": n, "bfloat16": 1 - n}
    auto = tiny(precision="auto")
    data = prepare.load_data(auto.data)
    resolved = prepare.resolve_precision(auto, model, data, may_gain=True).training.precision
    with pytest.raises(ValueError) as refused:
        steps = {"steps": 1, "batch_size": 7, "seed": 0}
        adam = torch.optim.Adam(model.parameters())
        train(model, lambda *_: torch.zeros(()), examples(9, (2,)), adam, **steps)
    text = "batch_size must be divisible by the number of processes, 2, got 7"
    weight = torch.full((1,), n + 1.0)
    answers = [n, distributed.world_size(), distributed.is_main(), resolved == "float32"]
    answers += [str(refused.value) == text, distributed.broadcast_object(f"from {n}") == "from 0"]
    answers += [distributed.all_sum(weight).item(), weight.item()]
    return {"answers": together(torch.tensor([answers], dtype=torch.float64))}


def in_every_process(out: Path) -> None:
    """All of the above, written by the first process; every process must have found the same."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with distributed.processes("cpu"):
        writers_but_the_first_fail()
        parts = {"points": points_in_float64(), "images": images(), "draws": draws()}
        parts |= {"parts": points_in_float64(accumulate=3)}
        parts |= {"run": whole_run(out / "run"), "facts": facts()}
        found = {f"{name}/{k}": v for name, part in parts.items() for k, v in part.items()}
        for name, value in found.items():
            assert torch.equal(distributed.all_sum(value), 2 * value), name
    assert distributed.world_size() == 1
    if distributed.is_main():
        save_file({k: v.contiguous().clone() for k, v in found.items()}, out / "found.safetensors")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, __file__, str(out)], check=True, env=environment, timeout=120)
    found = load_file(out / "found.safetensors")

    def of(name: str) -> dict[str, torch.Tensor]:
        prefix = f"{name}/"
        return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}

    return of


def assert_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], **tolerance: float):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, msg=lambda m, n=name: f"{n}: {m}", **tolerance)


def test_two_processes_train_points_as_one_does(two):
    assert_equal(points_in_float64(), two("points"), rtol=1e-10, atol=1e-12)


def test_a_batch_in_parts_is_the_batch(two):
    one = points_in_float64()
    for parts in (2, 3, 8):  # of 8 rows: 2 + 3 + 3
        assert_equal(one, points_in_float64(parts), rtol=1e-12, atol=1e-12)
    assert_equal(one, two("parts"), rtol=1e-10, atol=1e-12)  # 1 + 1 + 2 in each process


def test_a_process_asks_for_its_own_rows_alone_part_by_part(monkeypatch):
    asked: list[list[int]] = []

    class Spy:
        def __len__(self) -> int:
            return 12

        def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
            asked.append(rows.tolist())
            return (torch.zeros(len(rows), 2),)

    def rows_of(rank: int) -> list[list[int]]:
        model = diffusion((2,))
        adam = torch.optim.Adam(model.parameters())
        monkeypatch.setattr(training, "rank", lambda: rank)
        monkeypatch.setattr(training, "share", lambda n: slice(rank * n // 2, (rank + 1) * n // 2))
        options = {"steps": 1, "batch_size": 12, "seed": 0, "accumulate": 4}
        taken = train(model, build_loss(tiny()), Spy(), adam, **options)
        asked.clear()  # one row was looked at, to see that these are rows
        list(taken)
        return list(asked)

    first, second = rows_of(0), rows_of(1)
    assert [len(part) for part in first] == [len(part) for part in second] == [1, 2, 1, 2]
    assert sorted(row for part in first + second for row in part) == list(range(12))


def test_more_parts_than_rows_are_refused():
    model = diffusion((2,))
    adam = torch.optim.Adam(model.parameters())
    options = {"steps": 1, "batch_size": 4, "seed": 0, "accumulate": 5}
    with pytest.raises(ValueError, match="accumulate must be at most 4, the rows of a process"):
        train(model, lambda *_: torch.zeros(()), examples(9, (2,)), adam, **options)


def test_two_processes_train_images_as_one_does(two):
    assert_equal(images(), two("images"), rtol=1e-5, atol=1e-7)


def test_every_example_meets_the_draws_that_one_process_gives_it(two):
    one = draws()
    assert 0 < (one["labels"] == 0).sum() < 12
    assert_equal(one, two("draws"), rtol=0, atol=0)


def test_a_run_of_two_processes_stops_goes_on_and_ends_as_one_does(two, tmp_path):
    one, both = whole_run(tmp_path / "run"), two("run")
    numbers, each = one.pop("numbers"), both.pop("numbers")
    assert numbers[0, 0] == numbers[0, 1] == STOPPED_AFTER
    assert torch.equal(each[0], numbers[0])
    assert torch.equal(each[1, :4], numbers[0, :4])
    assert each[1, 4] == 0
    assert_equal(one, both, rtol=1e-5, atol=1e-6)


def test_every_process_knows_its_place_and_hears_the_first(two):
    first, second = two("facts")["answers"].tolist()
    assert first == [0, 2, 1, 1, 1, 1, 3, 1]
    assert second == [1, 2, 0, 1, 1, 1, 3, 2]


def test_a_lone_process_is_all_there_is():
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert distributed.share(7) == slice(0, 7)
    assert distributed.all_sum(torch.arange(3.0)).tolist() == [0, 1, 2]
    assert distributed.broadcast_object("x") == "x"
    distributed.barrier()
    with distributed.processes("mps"):
        assert distributed.world_size() == 1


def launched(monkeypatch, rank: int, size: int) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", size), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(("rank", "size", "main"), [(0, 2, True), (1, 2, False), (0, 1, True)])
def test_outside_the_group_the_first_process_alone_speaks(monkeypatch, rank, size, main):
    launched(monkeypatch, rank, size)
    assert distributed.is_main() is main


def test_one_process_of_torchrun_needs_no_group(monkeypatch):
    launched(monkeypatch, 0, 1)
    with distributed.processes("cpu"):
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("mps", "several processes need device cpu or cuda, got mps"),
        ("cuda", r"needs a CUDA device of its own: LOCAL_RANK is 99, this machine has \d"),
    ],
)
def test_devices_that_several_processes_cannot_share_are_refused(monkeypatch, device, text):
    launched(monkeypatch, 99, 100)
    with pytest.raises(ValueError, match=text), distributed.processes(device):
        pass


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(ValueError, match=r"divisible by the number of processes, 3, got 8"):
        distributed.share(8)
    monkeypatch.setattr(distributed, "rank", lambda: 2)
    assert distributed.share(9) == slice(6, 9)


if __name__ == "__main__":
    in_every_process(Path(sys.argv[1]))
