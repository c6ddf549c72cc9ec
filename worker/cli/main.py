"""`stockfreeze`: the group of all commands, and its exit codes.

A command's module is imported when the command is used, so that `--help` need not load the engine. Exit codes: 0; 1
when a command found something wrong; 2 for bad usage or configuration, with one sentence that explains it.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import click

from worker.cli.context import config_option

NEW_OBJECTS_MAX = 100_000
"""New objects that start the garbage collector; at Python's 700 it takes a tenth of a short command."""
EXIT_INTERRUPTED = 130
"""The exit code of an interrupted command in shells: 128 plus the number of SIGINT."""


class CommandEntry(NamedTuple):
    """A command's module, and its line in the overview."""

    module: str
    summary: str


COMMANDS = {
    "run": CommandEntry("worker.cli.commands.run", "Run the worker."),
    "demo": CommandEntry("worker.cli.commands.demo", "Watch real orders go through a worker on this machine."),
    "topics": CommandEntry("worker.cli.commands.topics", "Create or check topics, or go on with new ones."),
    "verify": CommandEntry("worker.cli.commands.verify", "Check that state, levels and journal agree."),
    "send": CommandEntry("worker.cli.commands.send", "Check events of a file and send them."),
    "status": CommandEntry("worker.cli.commands.status", "Show how the system is doing, on one screen."),
    "why": CommandEntry("worker.cli.commands.why", "Show which orders hold the frozen units of a SKU."),
    "order": CommandEntry("worker.cli.commands.order", "Show what is known about an order."),
    "stock": CommandEntry("worker.cli.commands.stock", "List the levels of an account."),
    "alerts": CommandEntry("worker.cli.commands.alerts", "List alerts, or those that hold now."),
    "drift": CommandEntry("worker.cli.commands.drift", "List where counts differ from the books."),
    "dead-letters": CommandEntry("worker.cli.commands.dead_letters", "List, show, replay or discard dead letters."),
    "settings": CommandEntry("worker.cli.commands.settings", "Show the settings that hold, and where each comes from."),
    "begin-anew": CommandEntry(
        "worker.cli.commands.begin_anew", "Delete state and outputs, and read the inputs again."
    ),
    "schemas": CommandEntry("worker.cli.commands.schemas", "Print the schemas of the events."),
}


class CommandLine(click.Group):
    """A group that imports a command's module only when that command is used, and reports misuse in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the names in the order in which a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import the command of that name; None if there is no such name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Write the overview from the summaries here, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_: Any,  # noqa: ANN401 - click's signature
        **extra: Any,  # noqa: ANN401 - likewise
    ) -> NoReturn:
        """Run the command and leave the process with its exit code."""
        gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])
        # pydantic would look through all installed packages for plugins of its own, and there are none.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, **extra)
        except click.UsageError as error:
            _complain(f"{_place(error)}: {_misuse(error)}; try `{_place(error)} --help`")
            sys.exit(2)
        except click.ClickException as error:
            _complain(f"stockfreeze: {error.format_message()}")
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has enough (`| head`). Python would complain once more when it closes stdout,
            # unless that leads nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        sys.exit(code if isinstance(code, int) else 0)


def _place(error: click.UsageError) -> str:
    return error.ctx.command_path if error.ctx is not None else "stockfreeze"


def _misuse(error: click.UsageError) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
        return f"a command is missing: one of {', '.join(error.ctx.command.list_commands(error.ctx))}"
    if isinstance(error, click.NoSuchOption):
        # click's own hint would be a second sentence.
        hint = f" (did you mean {error.possibilities[0]})" if error.possibilities else ""
        return f"there is no option {error.option_name}{hint}"
    text = " ".join(error.format_message().split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"


def _complain(sentence: str) -> None:
    click.echo(f"{sentence.rstrip('.')}.", err=True)


@click.command(
    cls=CommandLine,
    epilog="Each command has --help with examples, such as `stockfreeze send --help`. Begin with `stockfreeze demo`.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@config_option
@click.version_option(package_name="stockfreeze", prog_name="stockfreeze", message="%(prog)s %(version)s")
def main() -> None:
    """Freeze stock per order, release it per sub-order, exactly once, on Kafka."""
