"""The commands whose files leave a run: reports, figures and exported models."""

from denoising_diffusion.cli.looking import Export, Report
from denoising_diffusion.cli.say import say
from denoising_diffusion.run.folder import Run


def report(command: Report) -> None:
    """Write a page, or figures, and name them."""
    from denoising_diffusion.run.report import report_runs

    runs = [Run(path) for path in command.runs]
    if command.figures is not None:
        _figures(command, runs)
        return
    file = report_runs(runs, command.out, device=command.device, overwrite=command.overwrite)
    print(file)


def _figures(command: Report, runs: list[Run]) -> None:
    from denoising_diffusion.run.ending import figures

    if command.out is not None:
        raise ValueError("--figures and --out exclude each other: figures lie in RUN/figures")
    for run in runs:
        model = run.model(None, command.device)
        for path in figures(run, model, command.figures or ""):
            print(path)


def export(command: Export) -> None:
    """Write the model and name the file."""
    from denoising_diffusion.export import export_run
    from denoising_diffusion.run.hub import check_push, push

    c = command
    options = {"float32": True} if c.float32 else {}
    if c.push is not None and c.to != "hub":
        raise ValueError(f"--push goes with --to hub, got --to {c.to}")
    if c.push is not None:
        check_push(c.push)
    done = export_run(Run(c.run), c.to, c.out, average=c.average, overwrite=c.overwrite, **options)
    if not done.made:
        say(f"{done.path} is there already")
    print(done.path)
    if c.push is not None:
        print(push(done.path, c.push))
