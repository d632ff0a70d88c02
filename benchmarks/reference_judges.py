"""The judges that come with the package: python benchmarks/reference_judges.py mnist|fashion-mnist

Trains ten LeNets of seeds 0..9, just as `ddpm evaluate --lenet-seeds 10` does and into the same
cache, and lets each measure the distances of 10,000 training pictures from the test set: as they
are, which is the floor, and spoilt in four ways. A judge's scale is the mean logarithm of the four
spoilt distances: no model has a part in it. Ten judges have two in the middle; the reference is the
one of them that measures more. Weights and all that was measured go into --out, and the table is
printed. The data are found as for `ddpm train`.
"""

import argparse
import math
import platform
from pathlib import Path

import torch
from spoilt_pictures import blurred
from torch import Tensor

from denoising_diffusion import FeatureStatistics, __version__, files, frechet_distance, stream
from denoising_diffusion.data import Dataset, load_dataset, whole
from denoising_diffusion.kinds.image_distances import noise_like
from denoising_diffusion.metrics import proportion_error
from denoising_diffusion.metrics.judge import Judge, judge, split_of
from denoising_diffusion.metrics.reference import FOLDER

SEEDS = 10
NUM = 10_000
FLOOR, CEILING = "as they are (floor)", "uniform noise (ceiling)"
SPOILT = ("blurred, 0.5 pixels", "noise of deviation 0.1", "lower halves of others",
          "half as many of the first five classes")  # fmt: skip
# Label counts of an unconditional model, as DenoisingDiffusion.jl drew them.
DRAWN = (1310, 1033, 365, 1228, 460, 890, 1365, 1220, 1165, 962)
UNEVEN = "classes as unevenly as a model drew them"


def pictures(x: Tensor, labels: Tensor, clip: tuple) -> dict[str, Tensor]:
    """Training pictures as they are and spoilt, the uneven ones with labels below."""
    some, noise = x[:NUM], torch.randn(x[:NUM].shape, generator=stream(0, "spoilt"))
    mixed = some.clone()
    half = x.shape[2] // 2
    mixed[:, :, half:] = some.roll(1, 0)[:, :, half:]
    place = torch.stack([(labels == k).cumsum(0) for k in range(1, 11)])[labels - 1, range(len(x))]
    fewer = (labels > 5) | (place % 2 == 0)
    return {
        FLOOR: some,
        SPOILT[0]: blurred(some, 0.5),
        SPOILT[1]: (some + 0.1 * noise).clamp(-1, 1),
        SPOILT[2]: mixed,
        SPOILT[3]: x[fewer][:NUM],
        UNEVEN: x[place <= torch.tensor(DRAWN)[labels - 1]],
        CEILING: noise_like(some, clip),
    }


def distances(judged: Judge, sets: dict[str, Tensor], real: Tensor) -> dict[str, float]:
    reference = FeatureStatistics.from_features(judged.features(real))
    return {
        name: frechet_distance(FeatureStatistics.from_features(judged.features(x)), reference)
        for name, x in sets.items()
    }


def scale(found: dict[str, float]) -> float:
    """The mean logarithm of the distances of what is spoilt."""
    return sum(math.log(found[name]) for name in SPOILT) / len(SPOILT)


def table(found: list[dict[str, float]], chosen: int, accuracies: list[float]) -> str:
    lines = [
        "| training pictures | reference | median of ten | least | most |",
        "|---|---|---|---|---|",
    ]
    for name in found[0]:
        values = sorted(f[name] for f in found)
        middle = (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2
        cells = (found[chosen][name], middle, values[0], values[-1])
        lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" for v in cells) + " |")
    low, high = min(accuracies), max(accuracies)
    lines.append(f"\naccuracy {accuracies[chosen]:.2%}, of all ten {low:.2%} to {high:.2%}")
    return "\n".join(lines)


def measured(data: Dataset) -> tuple[list[Judge], list[dict[str, float]]]:
    """The judges of ten seeds, and what they measure."""
    (x, labels), (real, classes) = whole(data.train), whole(data.reference)
    count, sets = len(data.class_names), pictures(x, labels, data.clip)
    judges, found = [], []
    for seed in range(SEEDS):
        judges.append(
            judge(x, labels - 1, count, real, classes - 1, fingerprint=data.fingerprint, seed=seed)
        )
        found.append(distances(judges[-1], sets, real))
        print(f"seed {seed}: {judges[-1].accuracy:.4f}, {scale(found[-1]):.4f}", flush=True)
    drawn = torch.arange(count).repeat_interleave(torch.tensor(DRAWN))
    print(f"{UNEVEN}: squared error {proportion_error(drawn, classes - 1, count):.5f}")
    return judges, found


def keep(name: str, data: Dataset, judges: list[Judge], found: list, seed: int, out: Path) -> None:
    chosen, file = judges[seed], out / f"{name}.safetensors"
    _, labels = whole(data.train)
    real, classes = (part[:1000] for part in whole(data.reference))
    own = {"data": name, "fingerprint": data.fingerprint}
    files.write_tensors(file, chosen.model.state_dict(), own)
    note = {
        **own,
        "shape": list(data.shape),
        "classes": len(data.class_names),
        "split": split_of(labels - 1),
        "network": type(chosen.model).__name__,
        "command": f"python benchmarks/reference_judges.py {name}",
        "seed": seed,
        "accuracy": chosen.accuracy,
        "accuracy_of_the_first_1000": chosen.tested(real, classes - 1).accuracy,
        "floor": found[seed][FLOOR],
        "ceiling": found[seed][CEILING],
        "weights": files.digest_of_tensors(chosen.model.state_dict()),
        "file": files.digest(file),
        "versions": {
            "denoising-diffusion": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "judges": [
            {"seed": i, "accuracy": j.accuracy, "scale": scale(f), "distances": f}
            for i, (j, f) in enumerate(zip(judges, found, strict=True))
        ],
    }
    files.write_json(file.with_suffix(".json"), note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=("mnist", "fashion-mnist"))
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(options.name)
    judges, found = measured(data)
    order = sorted(range(SEEDS), key=lambda i: scale(found[i]))
    seed = order[SEEDS // 2]
    options.out.mkdir(parents=True, exist_ok=True)
    keep(options.name, data, judges, found, seed, options.out)
    print(f"\n{options.name}: the reference is seed {seed}\n")
    print(table(found, seed, [j.accuracy for j in judges]))


if __name__ == "__main__":
    main()
