"""What commands print that only describe; none of it needs torch."""

from denoising_diffusion import tables
from denoising_diffusion.cli.looking import Table
from denoising_diffusion.config import RunConfig
from denoising_diffusion.files import read_notes
from denoising_diffusion.recipes import RECIPES
from denoising_diffusion.run import typeset
from denoising_diffusion.run.folder import Run
from denoising_diffusion.run.summary import summary


def recipes() -> None:
    """Print a line on every recipe."""
    rows = [("recipe", "data", "network", "schedule", "epochs", "batch", "predicts", "sampler")]
    for config in RECIPES.values():
        t = config.training
        kind, size, *_ = config.network.values()
        timesteps = config.schedule["timesteps"]
        rows.append(
            (
                config.recipe,
                config.data["name"],
                f"{kind} {size or 'fitted'}",
                f"{config.schedule['kind']} {timesteps}",
                str(t.epochs),
                str(t.batch_size),
                str(t.prediction),
                f"{config.sampling.sampler} {config.sampling.steps or timesteps}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=True)).rstrip())


def _distilled(config: RunConfig, step: int) -> list[tuple[str, str]]:
    """What is to be told of a run that began with the weights of a finished one."""
    training = config.training
    if not training.seen:
        return []
    objective = tables.name_of(training.objective, "training.objective")
    seen = training.seen + step * training.batch_size
    return [
        ("learned by", f"{objective}, from {training.init}"),
        ("has seen", f"{seen:,} examples"),
    ]


def info(run: Run) -> None:
    """Print what a run is, and how good."""
    config, facts, history = run.config, run.facts, run.history.read()
    s, timesteps = config.sampling, config.schedule.get("timesteps", 100)
    shape = " × ".join(map(str, facts.shape))
    rows = [
        ("recipe", config.recipe),
        ("data", f"{facts.name}, {facts.num_train:,} {facts.kind} of shape {shape}"),
        ("classes", ", ".join(facts.class_names) or "none"),
        *([("clusters", f"{len(facts.clusters):,}")] if facts.clusters else []),
        *([("enlarges", f"pictures by {config.factor}")] if config.factor else []),
        ("network", f"{config.network['kind']}, {facts.parameters:,} parameters"),
        ("predicts", str(config.training.prediction)),
        *_distilled(config, history[-1]["step"] if history else 0),
        ("schedule", f"{config.schedule['kind']}, T = {timesteps}"),
        ("weights", ", ".join((*config.training.average_names, "raw"))),
        ("sampler", f"{s.sampler}, {s.steps or timesteps} steps, guidance {s.guidance_scale:g}"),
        ("precision", config.training.precision),
        ("epochs", f"{history[-1]['epoch'] if history else 0} of {config.training.epochs}"),
        ("finished", "yes" if run.finished else "no"),
    ]
    if history:
        rows.append(("held-out loss", f"{history[-1]['val_loss']:.5f}"))
    if run.checkpoint_file.exists():
        notes = read_notes(run.checkpoint_file)
        rows.append(("training time", f"{notes.get('seconds', 0):,.0f} s"))
    files = sum(f.stat().st_size for f in run.path.rglob("*") if f.is_file())
    rows.append(("size on disk", f"{files / 1e6:.1f} MB"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    if run.evaluated:
        print()
        print(run.read_table())


def table(command: Table) -> None:
    """Print the scores of runs side by side."""
    forms = {"latex": typeset.as_latex, "csv": typeset.as_csv, "markdown": typeset.as_markdown}
    asked = [form for name, form in forms.items() if getattr(command, name)]
    if len(asked) > 1:
        raise ValueError("--latex, --csv and --markdown exclude each other")
    form = asked[0] if asked else typeset.as_text
    print(form(summary(map(Run, command.runs), command.scores)))
