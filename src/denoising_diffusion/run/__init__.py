"""Runs: what a configuration builds, and the folder in which it lives."""

from denoising_diffusion.run.build import (
    build_diffusion,
    build_schedule,
    count_parameters,
    pick_device,
)
from denoising_diffusion.run.checkpoint import (
    load_weights,
    note_json,
    read_tensors,
    restore_training_state,
    training_state,
    write_atomically,
    write_tensors,
)
from denoising_diffusion.run.folder import RunFolder, free_memory_hint, load

__all__ = [
    "RunFolder",
    "build_diffusion",
    "build_schedule",
    "count_parameters",
    "free_memory_hint",
    "load",
    "load_weights",
    "note_json",
    "pick_device",
    "read_tensors",
    "restore_training_state",
    "training_state",
    "write_atomically",
    "write_tensors",
]
