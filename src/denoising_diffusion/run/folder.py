"""The run folder: one place that explains itself."""

import json
from pathlib import Path
from typing import Any, cast

import torch

from denoising_diffusion.config import DataFacts, RunConfig
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.run.build import build_diffusion, pick_device
from denoising_diffusion.run.checkpoint import (
    Stored,
    load_weights,
    note_json,
    read_tensors,
    write_atomically,
    write_tensors,
)
from denoising_diffusion.strict_json import read_config, to_json


class RunFolder:
    """The files of one run and their names.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.history_file = self.path / "history.jsonl"
        self.checkpoint_file = self.path / "checkpoint.safetensors"
        self.model_file = self.path / "model.safetensors"
        self.evaluation_file = self.path / "evaluation.json"
        self.samples = self.path / "samples"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config_file.exists()

    @property
    def finished(self) -> bool:
        """Whether training has ended here."""
        return self.model_file.exists()

    def create(self, config: RunConfig) -> None:
        """Make the folder and write the configuration."""
        self.samples.mkdir(parents=True, exist_ok=True)
        self.write_text(self.config_file, to_json(config))

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file of the folder, whole or not at all."""
        write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))

    def read_config(self) -> RunConfig:
        """The configuration of the run.

        Raises:
            ValueError: there is no run here, or its configuration cannot be read.
        """
        if not self.exists:
            raise ValueError(f"{self.path} is no run folder: it has no {self.config_file.name}")
        try:
            value = json.loads(self.config_file.read_text(encoding="utf-8"))
            return read_config(RunConfig, value)
        except ValueError as error:
            raise ValueError(f"{self.config_file}: {error}") from None

    def facts(self, config: RunConfig) -> DataFacts:
        """What the configuration knows of its data.

        Raises:
            ValueError: the configuration was never resolved against its data.
        """
        if config.facts is None:
            raise ValueError(f"{self.config_file} lacks the key facts, which training writes")
        return config.facts

    def append_history(self, row: dict[str, Any]) -> None:
        """Add a line to the history."""
        with self.history_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """All whole lines of the history; a kill may have cut the last one."""
        if not self.history_file.exists():
            return []
        rows: list[dict[str, Any]] = []
        for line in self.history_file.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(cast("dict[str, Any]", json.loads(line)))
            except json.JSONDecodeError:
                break
        return rows

    def cut_history(self, step: int) -> None:
        """Drop the lines after this step, which a continued run writes again."""
        rows = [r for r in self.read_history() if r["step"] <= step]
        self.write_text(self.history_file, "".join(json.dumps(r) + "\n" for r in rows))

    def read_checkpoint(self) -> tuple[Stored, int] | None:
        """The last checkpoint and its step, or None before the first.

        Raises:
            ValueError: it is damaged.
        """
        if not self.checkpoint_file.exists():
            return None
        stored = read_tensors(self.checkpoint_file)
        step = note_json(stored.notes, "step", self.checkpoint_file)
        if type(step) is not int or step < 0:
            raise ValueError(f"{self.checkpoint_file} is damaged: its step is {step!r}")
        return stored, step

    def export(self, diffusion: GaussianDiffusion, config: RunConfig, step: int) -> None:
        """Write the weights that sampling uses, with the configuration inside."""
        tensors = {f"model.{k}": v for k, v in diffusion.state_dict().items()}
        write_tensors(self.model_file, tensors, {"config": to_json(config), "step": str(step)})


def load(run_folder: str | Path, *, ema: bool = True, device: str = "auto") -> GaussianDiffusion:
    """The trained model of a run, ready to sample.

    Args:
        run_folder: what `ddpm train --out` wrote; the run may still be going on.
        ema: take the averaged weights if the run keeps any, not the raw ones.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        ValueError: no run, no checkpoint yet, or a damaged file.
    """
    folder = RunFolder(run_folder)
    config = folder.read_config()
    diffusion = build_diffusion(config, folder.facts(config))
    if ema and folder.finished:
        load_weights(diffusion, read_tensors(folder.model_file).tensors, "model.")
    else:
        found = folder.read_checkpoint()
        if found is None:
            raise ValueError(f"{folder.path} has no checkpoint yet")
        averaged = ema and config.training.ema_decay is not None
        load_weights(diffusion, found[0].tensors, "ema." if averaged else "model.")
    return diffusion.to(pick_device(device)).requires_grad_(False).eval()


def free_memory_hint(error: BaseException) -> str | None:
    """A remedy if the error is of memory that ran out, else None."""
    out = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if out or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "memory ran out; take a smaller --batch-size, or a smaller --num"
    return None
