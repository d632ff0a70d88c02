"""`python -m denoising_diffusion.jobs CONFIG.json [RUN]`: train a written configuration.

It needs no command-line library, so a bare machine with PyTorch can run it.
"""

import json
import sys
from pathlib import Path

from denoising_diffusion.config import RunConfig
from denoising_diffusion.jobs.evaluation import table
from denoising_diffusion.jobs.runs import train_run
from denoising_diffusion.strict_json import read_config


def main(arguments: list[str]) -> int:
    """Train the configuration in this file; the exit code."""
    if len(arguments) not in (1, 2):
        print("usage: python -m denoising_diffusion.jobs CONFIG.json [RUN]", file=sys.stderr)
        return 2
    try:
        value = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        config = read_config(RunConfig, value)
        out = Path(arguments[1]) if len(arguments) == 2 else Path("runs") / config.recipe
        result = train_run(config, out, say=lambda text: print(text, file=sys.stderr))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if result.scores:
        print(table(result.scores))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
