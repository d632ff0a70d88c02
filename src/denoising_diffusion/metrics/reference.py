"""Judges that come with the package, so that figures compare across machines and papers.

`benchmarks/reference_judges.py` makes them; beside each one's weights stands how.
"""

from pathlib import Path
from typing import Any

from denoising_diffusion.files import read_json, read_tensors
from denoising_diffusion.metrics.judge import Judge
from denoising_diffusion.nn import LeNet5

FOLDER = Path(__file__).parent / "references"
_SHORT = 12


def reference_of(fingerprint: str) -> dict[str, Any] | None:
    """What is written down of the reference of the data with this fingerprint, if there is one.

    Its `weights` are the SHA-256 of the weights, as `files.digest_of_tensors` takes it.
    """
    notes = (read_json(file) for file in sorted(FOLDER.glob("*.json")))
    return next((n for n in notes if n["fingerprint"] == fingerprint), None)


def reference_judge(
    fingerprint: str, shape: tuple[int, ...], num_classes: int, split: str | None = None
) -> Judge | None:
    """The reference of the data with this fingerprint; None for data that are not known.

    Args:
        fingerprint: of the data: every one of its images and labels is as it was published.
        shape: (c, h, w), of the images.
        num_classes: of the data.
        split: that of the data (`judge.split_of`), where held-out images are compared with: of
            another split, they may be images that the reference learned.

    Raises:
        ValueError: the weights are missing or not those that are written down.
    """
    note = reference_of(fingerprint)
    if note is None or (tuple(note["shape"]), note["classes"]) != (shape, num_classes):
        return None
    if split is not None and split != note["split"]:
        return None
    file = FOLDER / f"{note['data']}.safetensors"
    stored = read_tensors(file)
    if stored.notes["sha256"] != note["weights"]:
        raise ValueError(f"{file} is not the judge of {file.with_suffix('.json').name}")
    model = LeNet5(shape[0], num_classes)
    model.load_state_dict(stored.tensors)
    name = f"reference {note['data']}, LeNet5 {note['weights'][:_SHORT]}"
    return Judge(model.eval(), shape, name, reference=True)
