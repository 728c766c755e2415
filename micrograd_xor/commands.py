"""The commands of `micrograd-xor`, for typer: their options, and what they print."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.main import get_command

from micrograd_xor.xor import experiments
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights, forward
from micrograd_xor.xor.experiments import Comparison, Study
from micrograd_xor.xor.open_form import PATTERNS
from micrograd_xor.xor.training import train as descend

LARGEST = 100  # hidden units: a graph of more is no picture any more
console = Console(highlight=False)

app = typer.Typer(
    help="A network that learns XOR, and every partial derivative of it: trained, checked and drawn.",
    epilog="Start with: micrograd-xor study. It takes under a minute and writes xor-study/index.html.",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Hidden: TypeAlias = Annotated[int, typer.Option(help=f"Number of hidden units, 1 to {LARGEST}.")]
Iterations: TypeAlias = Annotated[int, typer.Option(help="Steps of gradient descent, full batch.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Seed of the starting weights, uniform between -1 and 1.")]
Rate: TypeAlias = Annotated[float, typer.Option(help="Step size on the mean loss.")]
Given: TypeAlias = Annotated[
    str,
    typer.Option("--weights", help="Weights to take instead: 'paper', the ones it prints, or a saved weights.json."),
]
Engine: TypeAlias = Annotated[
    str, typer.Option(help="How to train: 'compiled', in machine code, or 'eager', a recorded graph an iteration.")
]
Input: TypeAlias = Annotated[float, typer.Option(help="Input of the pattern.")]
Target: TypeAlias = Annotated[float, typer.Option(help="Target of the pattern, 0 to 1.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; bad usage raises a ValueError of one line."""
    usage_error: Any = typer.BadParameter.__base__  # of click, or of the copy of it that newer versions bring
    try:
        return int(get_command(app).main(arguments, prog_name="micrograd-xor", standalone_mode=False) or 0)
    except usage_error as error:
        raise ValueError(f"{error.format_message().rstrip('.')}. See micrograd-xor --help.") from None
    except typer.Abort:
        raise KeyboardInterrupt from None


@app.command()
def study(
    hidden: Hidden = 2,
    iterations: Iterations = 4000,
    seed: Seed = 0,
    learning_rate: Rate = 1.0,
    out: Annotated[Path, typer.Option(help="Folder of the report; made where it is missing.")] = Path("xor-study"),
    weights: Given = "",
    engine: Engine = "compiled",
) -> int:
    """Train the network, check all its partial derivatives, draw every figure, write one page of it all.

    With --weights nothing is trained: they are put through, checked and drawn. Ctrl-C ends the training, or the
    comparison of Figure 1, early and reports what was done.
    """
    from micrograd_xor.xor import report  # loads matplotlib, which the other commands need not wait for

    start = _weights(hidden, seed, weights)
    _check_folder(out)
    with _progress() as told:
        found = experiments.study(
            start,
            iterations=0 if weights else iterations,
            learning_rate=learning_rate,
            seed=seed,
            engine=engine,
            progress=told,
        )
        page = report.write(found, out, told)
    _print_partials(found.comparisons, found.refusal)
    _print_outputs(found.history.final)
    console.print(experiments.verdict(found))
    console.print(f"The report is in {page}", soft_wrap=True)
    return 130 if found.interrupted else 0


@app.command()
def train(
    hidden: Hidden = 2,
    iterations: Iterations = 4000,
    seed: Seed = 0,
    learning_rate: Rate = 1.0,
    out: Annotated[Path, typer.Option(help="The JSON file to save the weights in.")] = Path("weights.json"),
    weights: Given = "",
    engine: Engine = "compiled",
) -> int:
    """Train the network through the engine and save its weights; with --weights, train those further.

    Ctrl-C saves what was reached.
    """
    _check_file(out)
    with _progress() as told:
        history = descend(
            _weights(hidden, seed, weights),
            iterations=iterations,
            learning_rate=learning_rate,
            progress=lambda i, _: told("Training", i, iterations),
            seed=seed,
            engine=engine,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    history.final.save(out)
    _print_outputs(history.final)
    console.print(experiments.verdict(Study(history, iterations, [], [])))
    console.print(f"The weights are in {out}", soft_wrap=True)
    return 130 if len(history.losses) <= iterations else 0


@app.command()
def check(hidden: Hidden = 2, seed: Seed = 0, weights: Given = "") -> int:
    """Compare every partial derivative of the paper, by the engine and in closed form, on all four patterns.

    The weights are random ones, or those of --weights. Ends with status 1 where one is off.
    """
    comparisons = experiments.compare(_weights(hidden, seed, weights))
    _print_partials(comparisons)
    return 0 if all(c.ok for c in comparisons) else 1


@app.command()
def draw(
    hidden: Hidden = 2,
    seed: Seed = 0,
    weights: Given = "",
    x1: Input = 1.0,
    x2: Input = 0.0,
    r: Target = 1.0,
    partials: Annotated[bool, typer.Option(help="Write the local partial on each edge.")] = True,
    out: Annotated[Path, typer.Option(help="The file to draw in: .svg, .png or .dot.")] = Path("network.svg"),
) -> None:
    """Draw the graph of the network's equations for one pattern, with every value and adjoint."""
    from micrograd_xor.xor.report import picture

    picture(_weights(hidden, seed, weights), (x1, x2, r), partials=partials).save(out)
    console.print(f"The graph is in {out}", soft_wrap=True)


@app.command()
def derive(
    hidden: Hidden = 2,
    format: Annotated[str, typer.Option(help="text, latex, markdown, html, or tex: a file to run LaTeX on.")] = "text",
) -> None:
    """Print every partial derivative in closed form, step by step, derived from the network's equations."""
    from micrograd_xor.xor.derivation import document  # loads SymPy

    _check_hidden(hidden)
    typer.echo(document(hidden, format), nl=False)


def _check_hidden(hidden: int) -> None:
    if hidden > LARGEST:
        raise ValueError(f"The network must have at most {LARGEST} hidden units, got {hidden}. Take fewer.")


def _weights(hidden: int, seed: int, given: str) -> Weights:
    if given:
        weights = PAPER_WEIGHTS if given == "paper" else _loaded(given)
        hidden = weights.hidden
    _check_hidden(hidden)
    return weights if given else Weights.random(hidden, seed)


def _loaded(path: str) -> Weights:
    try:
        return Weights.load(path)
    except OSError as error:
        raise ValueError(
            f"--weights must be 'paper' or a file that can be read, got {path!r}: {error.strerror}. "
            "micrograd-xor train writes one."
        ) from None


def _check_folder(folder: Path) -> None:
    """Raise an OSError, before any work is done, where nothing could be written; leaves no trace."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with TemporaryDirectory(dir=nearest):
            pass
    except OSError as error:
        raise type(error)(
            f"--out must be where files can be written, got {str(folder)!r}: {error.strerror}. Choose another."
        ) from None


def _check_file(path: Path) -> None:
    _check_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"--out must be a file, got the folder {str(path)!r}. Add a name to it.")


@contextmanager
def _progress() -> Iterator[experiments.Progress]:
    """A bar for each name that it is told of."""
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars, tasks = Progress(*columns, console=console), dict[str, TaskID]()

    def told(name: str, done: int, total: int) -> None:
        if name not in tasks:
            bars.start()
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done)

    try:
        yield told
    finally:
        if tasks:
            bars.stop()


def _print_partials(comparisons: list[Comparison], refusal: str = "") -> None:
    if refusal:
        console.print(f"The partials were not checked. {refusal}")
        return
    table = Table("id", "partial", "closed form", "by the engine", "difference", box=None)
    for c in comparisons:
        difference = f"{c.difference:.1e}" + ("" if c.ok else "  off")
        table.add_row(c.row.id, c.partial, c.formula, experiments.shown(c.engine, 8), difference)
    console.print(table)
    console.print(experiments.agreement(comparisons))


def _print_outputs(weights: Weights) -> None:
    table = Table("x1", "x2", "r", "z", box=None)
    for (x1, x2, r), z in zip(PATTERNS, forward(weights).z, strict=True):
        table.add_row(f"{x1:g}", f"{x2:g}", f"{r:g}", f"{z:.8f}")
    console.print(table)
