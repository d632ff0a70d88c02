"""Run: a folder that explains itself, and one object. Its description needs no torch."""

import json
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoising_diffusion import tables
from denoising_diffusion.checks import checked, one_of
from denoising_diffusion.config import Facts, RunConfig
from denoising_diffusion.files import (
    Stored,
    as_json,
    check_version,
    read_json,
    read_notes,
    read_tensors,
    write,
    write_tensors,
)
from denoising_diffusion.run.artefacts import Artefacts, Origin
from denoising_diffusion.run.evaluations import Evaluations
from denoising_diffusion.run.history import History
from denoising_diffusion.strict_json import first_difference, read_config, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    @checked
    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        # "." has no name, beside which others could be found.
        self.path = Path(os.path.realpath(path)) if path.name in ("", "..") else path
        self.config_file = self.path / "config.json"
        self.history = History(self.path / "history.jsonl")
        self.checkpoint_file = self.path / "checkpoint.safetensors"
        self.model_file = self.path / "model.safetensors"
        self.snapshot_file = self.path / "snapshot.safetensors"
        self.evaluation_file = self.path / "evaluation.json"
        self.table_file = self.path / "evaluation.txt"
        self.report_file = self.path / "report.html"
        self.evaluations = Evaluations(self.path / "evaluations.jsonl")
        self.samples = self.path / "samples"

    def _repr_html_(self) -> str:
        from denoising_diffusion.run.notebook import run_html

        return run_html(self)

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config_file.exists()

    @cached_property
    def artefacts(self) -> Artefacts:
        """What was made from the run, and from what."""
        return Artefacts(self.path)

    @property
    def finished(self) -> bool:
        """Whether training has ended here: the model is of the last step."""
        notes = self._notes(self.model_file)
        return notes.get("step") == self.config.total_steps

    @property
    def evaluated(self) -> bool:
        """Whether it was scored, as it is now."""
        weights = self._notes(self.model_file).get("sha256")
        files = (self.evaluation_file, self.table_file)
        origins = [self.artefacts.origin(file) for file in files]
        return self.finished and all(o is not None and o.get("weights") == weights for o in origins)

    @property
    def training_seconds(self) -> float | None:
        """How long it has trained; None before the first checkpoint."""
        return self._notes(self.checkpoint_file).get("seconds")

    def _notes(self, file: Path) -> dict[str, Any]:
        """The notes of a file of weights; none if it is not there, or damaged."""
        try:
            return read_notes(file)
        except ValueError:
            return {}

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
            config = read_config(RunConfig, value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.config_file}: {error}") from None
        for file in (self.model_file, self.checkpoint_file, self.snapshot_file):
            self._check_made_by(config, file)
        return config

    def _check_made_by(self, config: RunConfig, file: Path) -> None:
        """Refuse a configuration that is not the one these weights were trained by."""
        stored = self._notes(file).get("config")
        if stored is None:
            return
        try:
            made_by = read_config(RunConfig, stored)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged: its configuration: {error}") from None
        # A run may be lengthened, and its data may move.
        training = replace(made_by.training, epochs=config.training.epochs)
        path = {k: v for k, v in config.data.items() if k == "path"}
        made_by = replace(made_by, training=training, data={**made_by.data, **path})
        key = first_difference(made_by, config)
        if key is not None:
            raise ValueError(f"{self.config_file}: {key} is not as in {file.name}")

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
        if self.config.factor is not None:
            from denoising_diffusion.kinds.enlarged import Enlarged

            return Enlarged(self.facts, self.config.factor)
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
        if self._takes_model(chosen):
            tensors, prefix = read_tensors(self.model_file).tensors, weights_prefix(RAW)
        else:
            found = self.read_checkpoint()
            if found is None:
                if self.model_file.exists():
                    read_tensors(self.model_file)  # which says what is wrong with it
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
        """Make the folder and write the configuration, with which the run exists."""
        self.samples.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def write_config(self, config: RunConfig) -> None:
        """Write another configuration."""
        write(self.config_file, to_json(config).encode())
        self.config = config

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

    def write_checkpoint(self, tensors: "Mapping[str, Tensor]", notes: dict[str, Any]) -> None:
        """Write a checkpoint, with the configuration inside."""
        write_tensors(self.checkpoint_file, tensors, {**self._own_notes(), **notes})

    def export(self, tensors: "Mapping[str, Tensor]", step: int, file: Path | None = None) -> None:
        """Write the weights that sampling uses, or a snapshot, with the configuration inside."""
        named = {weights_prefix(RAW) + k: v for k, v in tensors.items()}
        write_tensors(file or self.model_file, named, {**self._own_notes(), "step": step})

    def _own_notes(self) -> dict[str, Any]:
        return {"config": json.loads(to_json(self.config))}

    def step_of(self, average: str) -> int | None:
        """The step of the weights that this average takes from the run."""
        file = self.model_file if self._takes_model(average) else self.checkpoint_file
        return self._notes(file).get("step")

    def weights_of(self, average: str) -> str:
        """The name of these weights, and the SHA-256 of the file that they are in."""
        file = self.model_file if self._takes_model(average) else self.checkpoint_file
        return f"{average} {self._notes(file).get('sha256')}"

    def _takes_model(self, average: str) -> bool:
        return average == self.average_name(None) and self.finished

    def read_scores(self) -> dict[str, Any] | None:
        """The stored evaluation, if there is one."""
        return read_json(self.evaluation_file) if self.evaluation_file.exists() else None

    def read_table(self) -> str:
        """The stored evaluation as the lines of a table."""
        return self.table_file.read_text(encoding="utf-8").rstrip("\n")

    def write_scores(self, scores: dict[str, Any], table: str, origin: Origin) -> None:
        """Keep the evaluation that ends the run."""
        self.artefacts.put(self.table_file, (table + "\n").encode(), origin)
        self.artefacts.put(self.evaluation_file, as_json(scores), origin)


def weights_prefix(average: str) -> str:
    """What the names of these weights begin with in a checkpoint."""
    return "model." if average == RAW else f"average.{average}."


@checked
def load(
    run_folder: str | Path, *, average: str | None = None, device: str = "auto"
) -> "GaussianDiffusion":
    """The trained model of a run, ready to sample.

    Args:
        run_folder: what `ddpm train --out` wrote; the run may still be going on. Or
            "hf://OWNER/NAME", a folder of `ddpm export --to hub` on the Hugging Face hub.
        average: "raw", or an average that the run keeps; its first without a name.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        ValueError: no run, no checkpoint yet, no such average, or a damaged file.
    """
    if isinstance(run_folder, str) and run_folder.startswith("hf://"):
        from denoising_diffusion.run.hub import downloaded

        run_folder = downloaded(run_folder)
    return Run(run_folder).model(average, device)
