"""The command `facegen`: finds the sub-command, turns errors into one line and an exit code.

Exit codes: 0 all well, 1 a failure at work, also of some pictures alone (or, of `compare`, a
difference), 2 usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from facegen import FacegenError, __version__
from facegen.cli import terminal
from facegen.cli.lazy import LazyGroup, command_first
from facegen.errors import MACHINE_ERRORS, DeviceFailure, DownloadFailure

# Sub-command -> what its help says in the list; each lives in facegen.cli.<name>.
COMMANDS = {
    "demo": "Draw a picture of faces, and say how fast.",
    "generate": "Make faces from seeds or latent vectors.",
    "project": "Find the latent vectors of given faces.",
    "interpolate": "Walk from face to face as a GIF, MP4 or raw frames.",
    "colorizer": "The course's programs for colouring grey pictures.",
    "pix2pix": "Make pictures from pictures.",
    "colorize": "Give grey pictures colours.",
    "segment": "Find the class of every pixel of pictures.",
    "classify": "Say what pictures show.",
    "digits": "Say which digits images show.",
    "run": "Run a network of any kind on arrays or pictures.",
    "serve": "Show a page to play on: faces, drawings, photos.",
    "train": "Train a network on pictures of one's own.",
    "compare": "Say whether two results agree.",
    "inspect": "Show what a file of weights holds.",
    "convert": "Convert weights from one format to another.",
    "init": "Write seeded weights, for trials and benchmarks.",
    "lab": "Measure layers on this machine, and count what they cost.",
    "learn": "Climb from naive loops to this package's kernels.",
    "launch": "Run a command as several processes that share its work.",
    "fetch": "Fetch networks that others published.",
    "doctor": "Explain what facegen found on this machine.",
}
# The course's program has no name of its own: facegen NETWORK INPUT OUTPUT IMAGE.
BARE_FORM = "faces"

_HELP = """Faces and pictures from small networks, on facegen's own kernels.

\b
  facegen demo faces.png                               a picture of faces, and how fast
  facegen generate --seeds 0-15 -o faces.png           faces of seeds
  facegen colorize photos -r -o coloured               colours for grey photos
  facegen network.bin input.txt output.txt faces.bmp   the course's program
  facegen compare output.txt answer.txt

The form without a command name reads latent vectors from a text file and writes all values
as text and all faces as one BMP: `facegen [NETWORK] INPUT OUTPUT IMAGE`, '-' for standard input or
output. Where no network is named, the package's own is used.

`facegen help COMMAND` explains one; -q and -v, for less and more to read, go with all of them.
"""


class Commands(LazyGroup):
    """All commands; anything else is taken as the bare form."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = _spelt_out(command_first(args, COMMANDS))
        own = {"-h", "--help", "-V", "--version"}
        if args and args[0] not in COMMANDS and not (args[0] in own and len(args) == 1):
            if not ctx.resilient_parsing:  # as it is while a shell completes a line
                _check_mistyped(args[0])
            args = [BARE_FORM, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        return found or [CompletionItem(incomplete, type="file")]  # of the bare form

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == BARE_FORM:
            return import_module(f"facegen.cli.{name}").command
        return super().get_command(ctx, name)


def _spelt_out(args: list[str]) -> list[str]:
    """`facegen help [COMMAND]` and `facegen version` as options, unless files have these names."""
    if args == ["version"] and not os.path.exists("version"):
        return ["--version"]
    if args[:1] != ["help"] or os.path.exists("help"):
        return args
    if len(args) > 1 and args[1] not in COMMANDS:
        _check_mistyped(args[1])
        raise click.UsageError(f"no command {args[1]!r}; facegen help lists them")
    return [*args[1:], "--help"]


def _check_mistyped(word: str) -> None:
    """Say so where a word is nearly a command's name, and no file's."""
    if word.isalpha() and not os.path.exists(word):
        from difflib import get_close_matches

        close = get_close_matches(word, COMMANDS, n=1, cutoff=0.7)
        if close:
            raise click.UsageError(f"no command or file {word!r}; did you mean {close[0]}?")


@click.group(
    cls=Commands,
    package="facegen.cli",
    summaries=COMMANDS,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND [ARGS]... | [NETWORK] INPUT OUTPUT IMAGE",
)
@click.version_option(
    __version__, "-V", "--version", prog_name="facegen", message="%(prog)s %(version)s"
)
def group() -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (sys.argv's if None) and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    terminal.reset()
    begin = time.perf_counter()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names need not be in the terminal's encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    warnings.filterwarnings("ignore", module="PIL")  # of damaged tags; too large is an error
    try:
        code = group.main(list(arguments) or ["--help"], prog_name="facegen", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        terminal.results_are_there()
        terminal.detail(f"took {time.perf_counter() - begin:.2f} s in all")
        return code if isinstance(code, int) else 0
    except BaseException as error:
        if "--debug" in arguments and not isinstance(error, SystemExit):
            terminal.show_traceback()
        return _report(error)


def _show_warning(
    message: Warning | str, category: type[Warning], *place: object, **more: object
) -> None:
    terminal.warn(" ".join(str(message).split()))


def _report(error: BaseException) -> int:
    """Print one line on stderr, and what a compiler said, and return the exit code."""
    if isinstance(error, SystemExit):
        if error.code == 1:  # click's way out of a broken pipe
            _forget_stdout()
        if error.code == 128 + signal.SIGTERM:
            return _end("terminated", error.code)
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return _end("interrupted", 130)
    if isinstance(error, click.UsageError):
        message = " ".join(error.format_message().split())  # click's may have several lines
        where = error.ctx.command_path if error.ctx else "facegen"
        where = where.removesuffix(f" {BARE_FORM}")
        return _end(f"error: {message} (see {where} --help)", 2)
    if isinstance(error, FacegenError):
        failed = isinstance(error, (DeviceFailure, DownloadFailure))
        first, *more = str(error).splitlines() if error.several_lines else [str(error)]
        return _end(f"error: {first}", 1 if failed else 2, more)
    if isinstance(error, BrokenPipeError):
        _forget_stdout()
        return 1
    if isinstance(error, OSError) and error.errno is not None:
        reason = os.strerror(error.errno)
        where = "" if error.filename is None else f"{error.filename}: "
        if error.filename is None and error.errno == errno.ENOSPC:  # output files have names
            _forget_stdout()
            where = "standard output: "
        return _end(f"error: {where}{reason}", 1 if error.errno in MACHINE_ERRORS else 2)
    if isinstance(error, MemoryError):
        return _end("error: out of memory", 1)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return _end(f"error: {message} (--debug shows where)", 1)


def _end(message: str, code: int, more: Sequence[str] = ()) -> int:
    terminal.fail(message, more)
    return code


def _forget_stdout() -> None:
    """What is still buffered for a standard output that takes no more must not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
