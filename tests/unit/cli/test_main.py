"""The command line as a whole: what it offers, what it loads, and that misuse is one sentence with exit code 2."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from worker.cli import main as cli
from worker.cli.context import CommandError, with_settings
from worker.settings import Settings


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="stockfreeze", env=environ)


def sentence_of(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stockfreeze order` prints its settings' app id, or refuses or fails as it is asked."""

    @click.command()
    @with_settings
    @click.argument("what", default="settings")
    def command(settings: Settings, what: str) -> int:
        if what == "refuse":
            raise CommandError("this cannot be done")
        click.echo(settings.app_id)
        return 1 if what == "fail" else 0

    module = importlib.import_module("worker.cli.commands.order")
    monkeypatch.setattr(module, "command", command)


def test_help_lists_every_command_and_loads_none() -> None:
    program = (
        "import sys\nfrom worker.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "loaded = {'aiokafka', 'faust', 'aiohttp', 'pydantic', 'rich', 'msgspec', 'structlog'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    help_text = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    for name, entry in cli.COMMANDS.items():
        assert f"  {name} " in help_text
        assert entry.summary in help_text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: stockfreeze {name}" in result.stdout


def test_the_help_of_run_names_every_setting() -> None:
    words = run("run", "--help").stdout.split()
    for name in Settings.model_fields:
        assert f"STOCKFREEZE_{name.upper()}" in words or name == "accounts"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "run, demo, topics"),
        (("runn",), "'runn'"),
        (("--confi", "x"), "did you mean --config"),
        (("run", "now"), "(now)"),
        (("run", "--port"), "--port"),
        (("run", "--config"), "--config"),
        (("why", "account"), "WAREHOUSE"),
        (("topics",), "create"),
    ],
)
def test_misuse_is_one_sentence_that_names_what_is_wrong(arguments: tuple[str, ...], named: str) -> None:
    sentence = sentence_of(run(*arguments))
    assert named in sentence
    assert "--help`" in sentence


def test_a_wrong_setting_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    assert "WEB_PORT" in sentence_of(run("run", STOCKFREEZE_WEB_PORT="none"))
    assert "STOCKFREEZE_WEB_PROT" in sentence_of(run("run", STOCKFREEZE_WEB_PROT="1"))
    assert "nowhere.toml" in sentence_of(run("run", "--config", str(tmp_path / "nowhere.toml")))


@pytest.mark.usefixtures("shown")
def test_the_file_of_a_command_goes_before_that_of_the_group(tmp_path: Path) -> None:
    for name in ("group", "command"):
        (tmp_path / f"{name}.toml").write_text(f'app_id = "{name}"\n')
    group, command = str(tmp_path / "group.toml"), str(tmp_path / "command.toml")
    assert run("order").stdout == "stockfreeze\n"
    assert run("--config", group, "order").stdout == "group\n"
    assert run("order", "--config", command).stdout == "command\n"
    assert run("--config", group, "order", "--config", command).stdout == "command\n"
    assert run("--config", group, "order", STOCKFREEZE_APP_ID="environment").stdout == "environment\n"


@pytest.mark.usefixtures("shown")
def test_a_command_ends_with_the_code_it_returns() -> None:
    assert run("order").exit_code == 0
    assert run("order", "fail").exit_code == 1
    assert "this cannot be done" in sentence_of(run("order", "refuse"))
