"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from facegen.cli import start, terminal
from facegen.cli.derived import DerivedOption
from facegen.cli.terminal import Loudness, counted
from facegen.errors import FacegenError
from facegen.files.standard import STANDARD, is_stream

if TYPE_CHECKING:
    from facegen.engine import Runner

Command = Callable[..., Any]


class BareCommand(click.Command):
    """A command that is meant where its group's name is followed by no command's name."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        assert ctx.parent is not None
        formatter.write_usage(ctx.parent.command_path, " ".join(self.collect_usage_pieces(ctx)))


def common(command: Command) -> Command:
    """--quiet, --verbose, --debug, which is acted upon in `main`, where errors end up; names.

    Those that are given must not be empty, as they are where a shell's variable is.
    """

    @wraps(command)
    def checked(*values: Any, **named: Any) -> Any:
        _refuse_empty(click.get_current_context())
        return command(*values, **named)

    decorated: Command = checked
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks."),
        _loudness("-v", "--verbose", Loudness.VERBOSE, "Also say what is read, where, how long."),
        _loudness("-q", "--quiet", Loudness.QUIET, "Print errors only."),
    ):
        decorated = option(decorated)
    return decorated


def _refuse_empty(context: click.Context) -> None:
    if context.ignore_unknown_options:  # the words are another program's
        return
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if "" in (value if isinstance(value, tuple) else (value,)):
            hint = parameter.get_error_hint(context)
            raise click.UsageError(f"{hint}: expected a name, found an empty one")


def _loudness(short: str, long: str, loudness: Loudness, text: str) -> Callable[[Command], Command]:
    """An option about how much is printed, which no command has to know of."""

    def choose(context: click.Context, option: click.Parameter, given: bool) -> None:
        if given:
            terminal.choose(loudness)

    return click.option(short, long, is_flag=True, expose_value=False, callback=choose, help=text)


Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def one_of(*words: str) -> Complete:
    """What a shell offers for an option whose values are checked elsewhere."""
    return lambda context, option, begun: [word for word in words if word.startswith(begun)]


def networks(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell offers where a network is named: published ones, or files."""
    from facegen.hub import PUBLISHED

    names = [CompletionItem(name) for name in ("default", *PUBLISHED) if name.startswith(begun)]
    return [CompletionItem(begun, type="file"), *names]


def _devices(context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    from facegen.engine.devices import names

    return one_of(*names())(context, option, begun)


count_upload = click.option(
    "--count-upload",
    is_flag=True,
    help="Elapsed time: with packing the weights and their way to the device, as the course's own "
    "programs count it.",
)


def uploading(runner: Runner, counted: bool) -> float:
    """Seconds that --count-upload adds to those of computing."""
    return runner.ready_seconds if counted else 0.0


def engine(command: Command) -> Command:
    """--device, --threads, --precision and --algorithm, as one keyword: `engine`, for a `Model`."""

    @wraps(command)
    def gathered(
        device: str, threads: int | None, precision: str, algorithm: str, **others: Any
    ) -> Any:
        start.begin(device)
        engine = {
            "device": device,
            "threads": threads,
            "precision": precision,
            "algorithm": algorithm,
        }
        return command(engine=engine, **others)

    decorated: Command = gathered
    for option in (
        click.option(
            "--algorithm",
            type=click.Choice(["auto", "direct"]),
            default="auto",
            show_default=True,
            help="direct: none of lower complexity than the definition's, such as Winograd's.",
        ),
        click.option(
            "--precision",
            default="float32",
            show_default=True,
            shell_complete=one_of("float32", "strict", "bfloat16", "tf32", "float16"),
            help="float32 (its accuracy, by the fastest arithmetic) or strict (its very products); "
            "on processors with AMX also bfloat16, on GPUs also tf32 or float16.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(1, 4096),
            help="CPU threads; all that this process may use if not given.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            metavar="DEVICE",
            cls=DerivedOption,
            shell_complete=_devices,
            help="{devices}; only auto may fall back to the CPU.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def device_used(runner: Runner) -> str:
    """What a runner computes on, as "cpu (avx512, 2 threads)"."""
    return f"{runner.device} ({runner.isa}, {counted(runner.threads, 'thread')})"


class FiniteRange(click.FloatRange):
    """Numbers of a range; click's own lets "nan" through, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def network_of(default: str) -> Callable[[Command], Command]:
    """--network, with the words for what is taken where it is not given."""
    return click.option(
        "-n",
        "--network",
        type=click.Path(),
        shell_complete=networks,
        help=f"File of weights, or name of a fetched network; {default} if not given.",
    )


network = network_of("the package's own faces")

half = click.option(
    "--half",
    is_flag=True,
    cls=DerivedOption,
    help="Weights as float16 ({halves}, half the size).",
)

resume = click.option(
    "--resume",
    is_flag=True,
    help="Keep what is done if the run is killed; the same command line again goes on from there, "
    "and has nothing to do once all is there.",
)

overwrite = click.option("--overwrite", is_flag=True, help="Replace files that exist.")

json_report = click.option(
    "--json", "json_", metavar="FILE", help="Write a report as JSON; '-' to stdout."
)


def examples(*lines: str) -> str:
    """An epilog of example command lines, kept line by line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def check_distinct(inputs: dict[str, str], outputs: dict[str, str]) -> None:
    """No output is also an input or another output; what is no regular file may be.

    Where '-' is an output, what else is printed goes to stderr.
    """
    terminal.give_stdout_to(outputs)
    taken: dict[str, str] = {}
    for names in (inputs, outputs):
        for label, path in names.items():
            real = os.path.realpath(path)
            if is_stream(path) or os.path.isdir(path):
                continue
            if names is outputs and real in taken:
                raise click.UsageError(f"{taken[real]} and {label} are the same file: {path}")
            taken[real] = label


def refuse_dash(path: str) -> None:
    """Where no output may be standard output, '-' is hardly meant as a file's name."""
    if path == STANDARD:
        raise click.UsageError("-: expected a file; this is not written to standard output")


def refuse_folder(path: str) -> None:
    """Where an output is one file, a folder has no use."""
    if os.path.isdir(path):
        raise FacegenError(f"{path}: is a folder, expected the name of a file")


def refuse_existing(path: str) -> None:
    """What exists is replaced with --overwrite alone; devices and pipes may be written."""
    refuse_folder(path)
    if os.path.isfile(path) and not is_stream(path):
        raise FacegenError(f"{path}: exists (--overwrite replaces it)")


def check_output(path: str, overwrite: bool) -> None:
    """Refuse, before long work, what exists without --overwrite and what its folder cannot take."""
    refuse_dash(path)
    refuse_folder(path)
    if not overwrite:
        refuse_existing(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder or "."):
        raise FacegenError(f"{path}: there is no folder {folder}")
    if not is_stream(path):
        from facegen.files.atomic import check_folder

        check_folder(folder or ".")


def of_shard(name: str, part: int) -> str:
    """An output's name with the number of a shard in the place of {shard}."""
    if "{shard}" not in name:
        raise click.UsageError(f"{name}: all shards would write it; put {{shard}} in the name")
    return name.replace("{shard}", str(part))


def check_report(path: str | None, overwrite: bool) -> None:
    """Whether --json can be written, before anything is computed."""
    if path is not None and path != "-":
        check_output(path, overwrite)


def write_report(path: str | None, report: Mapping[str, Any]) -> None:
    """What --json asks for, if it was given."""
    from facegen.files.atomic import AtomicFile
    from facegen.files.json_text import json_text
    from facegen.files.standard import output_file

    if path is None:
        return
    with AtomicFile(output_file(path)) as file:
        file.write(json_text(report, indent=2).encode() + b"\n")
