"""Run: a folder that explains itself, and one object. Its description needs no torch."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from denoising_diffusion import tables
from denoising_diffusion.checks import instance, one_of
from denoising_diffusion.config import Facts, RunConfig
from denoising_diffusion.files import (
    Stored,
    check_version,
    read_json,
    read_tensors,
    write,
    write_json,
    write_tensors,
)
from denoising_diffusion.strict_json import read_config, to_json

if TYPE_CHECKING:
    from torch import Tensor

    from denoising_diffusion.data import Dataset
    from denoising_diffusion.diffusion import GaussianDiffusion
    from denoising_diffusion.kinds import Kind

RAW = "raw"
"""The name of the weights as trained."""


class Run:
    """One run: its files, its configuration, and what they describe, each made once.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(instance("the run folder", path, str, os.PathLike))
        self.config_file = self.path / "config.json"
        self.history_file = self.path / "history.jsonl"
        self.checkpoint_file = self.path / "checkpoint.safetensors"
        self.model_file = self.path / "model.safetensors"
        self.evaluation_file = self.path / "evaluation.json"
        self.table_file = self.path / "evaluation.txt"
        self.samples = self.path / "samples"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config_file.exists()

    @property
    def finished(self) -> bool:
        """Whether training has ended here."""
        return self.model_file.exists()

    @property
    def evaluated(self) -> bool:
        """Whether it was scored."""
        return self.evaluation_file.exists() and self.table_file.exists()

    @cached_property
    def config(self) -> RunConfig:
        """The configuration of the run.

        Raises:
            ValueError: there is no run here, or its configuration cannot be read.
        """
        if not self.exists:
            raise ValueError(f"{self.path} is no run folder: it has no {self.config_file.name}")
        value = read_json(self.config_file)
        check_version(self.config_file, value.get("format_version"))
        try:
            return read_config(RunConfig, value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.config_file}: {error}") from None

    @property
    def facts(self) -> Facts:
        """What the configuration knows of its data.

        Raises:
            ValueError: the configuration was never resolved against its data.
        """
        if self.config.facts is None:
            raise ValueError(f"{self.config_file} lacks the key facts, which training writes")
        return self.config.facts

    @cached_property
    def kind(self) -> "Kind":
        """The kind of its data."""
        return tables.resolve("kind", self.facts.kind)(self.facts)

    @cached_property
    def data(self) -> "Dataset":
        """Its data, read anew, with classes even if the run does not learn them."""
        from denoising_diffusion.run.prepare import load_data

        return load_data(self.config.data)

    def model(self, average: str | None = None, device: str = "auto") -> "GaussianDiffusion":
        """The trained model, ready to sample; the run may still be going on.

        Args:
            average: "raw", or an average that the run keeps; its first without a name.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            ValueError: no run, no checkpoint yet, no such average, or a damaged file.
        """
        from denoising_diffusion.run.build import build_diffusion, pick_device

        model = self.load_into(build_diffusion(self.config), average)
        return model.to(pick_device(device)).requires_grad_(False).eval()

    def load_into(
        self, model: "GaussianDiffusion", average: str | None = None
    ) -> "GaussianDiffusion":
        """The model with the trained weights put into it; the errors are those of `model`."""
        from denoising_diffusion.run.checkpoint import load_weights

        chosen = self.average_name(average)
        if chosen == self.average_name(None) and self.finished:
            tensors, prefix = read_tensors(self.model_file).tensors, "model."
        else:
            found = self.read_checkpoint()
            if found is None:
                raise ValueError(f"{self.path} has no checkpoint yet")
            tensors, prefix = found.tensors, weights_prefix(chosen)
        load_weights(model, tensors, prefix)
        return model

    def average_name(self, average: str | None) -> str:
        """The name of the weights that this choice means: "raw" where no average is kept.

        Raises:
            ValueError: the run does not keep it.
        """
        names = (*self.config.training.average_names, RAW)
        return names[0] if average is None else one_of("average", average, names)

    def create(self, config: RunConfig) -> None:
        """Make the folder and write the configuration."""
        self.samples.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def write_config(self, config: RunConfig) -> None:
        """Write another configuration."""
        write(self.config_file, to_json(config).encode())
        self.config = config

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
        write(self.history_file, "".join(json.dumps(r) + "\n" for r in rows).encode())

    def read_checkpoint(self) -> Stored | None:
        """The last checkpoint, or None before the first.

        Raises:
            ValueError: it is damaged.
        """
        if not self.checkpoint_file.exists():
            return None
        stored = read_tensors(self.checkpoint_file)
        step = stored.notes.get("step")
        if type(step) is not int or step < 0:
            raise ValueError(f"{self.checkpoint_file} is damaged: its step is {step!r}")
        return stored

    def export(self, tensors: "dict[str, Tensor]", step: int) -> None:
        """Write the weights that sampling uses, with the configuration inside."""
        named = {f"model.{k}": v for k, v in tensors.items()}
        write_tensors(
            self.model_file, named, {"config": json.loads(to_json(self.config)), "step": step}
        )

    def read_scores(self) -> dict[str, Any] | None:
        """The stored evaluation, if there is one."""
        return read_json(self.evaluation_file) if self.evaluation_file.exists() else None

    def read_table(self) -> str:
        """The stored evaluation as the lines of a table."""
        return self.table_file.read_text(encoding="utf-8").rstrip("\n")

    def write_scores(self, scores: dict[str, Any], table: str) -> None:
        """Keep the evaluation that ends the run."""
        write(self.table_file, (table + "\n").encode())
        write_json(self.evaluation_file, scores)

    def forget_results(self) -> None:
        """Remove what was made from weights that are about to change."""
        made = (self.evaluation_file, self.table_file, self.model_file)
        pictures = (*self.path.glob("*.png"), *self.path.glob("*.gif"))
        for file in (*pictures, *made):
            file.unlink(missing_ok=True)


def weights_prefix(average: str) -> str:
    """What the names of these weights begin with in a checkpoint."""
    return "model." if average == RAW else f"average.{average}."


def load(
    run_folder: str | Path, *, average: str | None = None, device: str = "auto"
) -> "GaussianDiffusion":
    """The trained model of a run, ready to sample.

    Args:
        run_folder: what `ddpm train --out` wrote; the run may still be going on.
        average: "raw", or an average that the run keeps; its first without a name.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        ValueError: no run, no checkpoint yet, no such average, or a damaged file.
    """
    return Run(run_folder).model(average, device)
