"""`stockfreeze settings`: the settings that hold, and where each comes from."""

from __future__ import annotations

import os
from typing import Any

import click

from worker.cli.context import config_file, json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings


@click.command(
    epilog=examples(
        "stockfreeze settings",
        "stockfreeze settings --config stockfreeze.toml --json",
    )
)
@json_option
@with_settings
def command(settings: Settings, *, as_json: bool) -> int:
    """List the settings as a worker started here would take them, and where each comes from. Secrets are hidden."""
    from worker.configuration import setting_sources

    sources = setting_sources(config_file(), os.environ)
    rows = [
        {"name": name.upper(), "value": shown, "from": sources[name]}
        for name, shown in settings.model_dump(mode="json", exclude={"accounts"}).items()
    ]
    accounts = {name: own.model_dump(mode="json", exclude_unset=True) for name, own in settings.accounts.items()}
    if as_json:
        print_json({"settings": rows, "accounts": accounts})
        return 0
    print_table(
        "Settings", ("name", "value", "from"), [(row["name"], _text(row["value"]), row["from"]) for row in rows]
    )
    if accounts:
        print_table(
            "Settings of accounts, from the file",
            ("account", "name", "value"),
            [(account, name.upper(), value) for account, own in accounts.items() for name, value in own.items()],
        )
    return 0


def _text(value: Any) -> str | None:  # noqa: ANN401 - a setting is of any type
    return None if value is None else str(value)
