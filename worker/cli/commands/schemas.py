"""`stockfreeze schemas`: what goes in and what comes out, for programs. Needs no broker."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from schemas.topics import LEDGER
from worker.cli.context import CommandError, json_option
from worker.cli.showing import examples, print_json, print_table


@click.command(
    epilog=examples(
        "stockfreeze schemas",
        "stockfreeze schemas order.created",
        "stockfreeze schemas --asyncapi",
    )
)
@click.argument("type_name", metavar="[TYPE]", required=False)
@click.option("--asyncapi", is_flag=True, help="Print the AsyncAPI document of all topics (YAML; JSON with --json).")
@json_option
def command(*, type_name: str | None, asyncapi: bool, as_json: bool) -> int:
    """List the event types and their topics, or print the JSON Schema of TYPE."""
    from schemas.catalogue import TOPIC_OF, schema_of

    if type_name is not None and asyncapi:
        raise click.UsageError("give either a type or --asyncapi")
    if asyncapi:
        _print_asyncapi(as_json=as_json)
    elif type_name is None:
        rows = [(name, "in" if topic in LEDGER.inputs else "out", topic.value) for name, topic in TOPIC_OF.items()]
        if as_json:
            print_json([{"type": name, "direction": direction, "topic": topic} for name, direction, topic in rows])
        else:
            print_table("Event types (topics without the prefix)", ("type", "direction", "topic"), rows)
    elif type_name in TOPIC_OF:
        print_json(schema_of(type_name))
    else:
        close = difflib.get_close_matches(type_name, list(TOPIC_OF), n=1)
        hint = f", did you mean {close[0]}" if close else ""
        raise CommandError(f"there is no event type {type_name}{hint}")
    return 0


def _print_asyncapi(*, as_json: bool) -> None:
    if as_json:
        from schemas.asyncapi import document

        print_json(document())
    else:
        from schemas import catalogue

        click.echo(Path(catalogue.__file__).with_name("asyncapi.yaml").read_text(encoding="utf-8").rstrip())
