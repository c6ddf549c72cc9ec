"""`stockfreeze settings`: what holds, where it comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from worker.cli.main import main

HIDDEN = "correct horse"


def run(*arguments: str, **settings: str) -> str:
    env = {f"STOCKFREEZE_{name}": value for name, value in settings.items()}
    result = CliRunner(env=env).invoke(main, ["settings", *arguments], prog_name="stockfreeze")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_every_setting_is_told_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "stockfreeze.toml"
    file.write_text('buffer = 3\nretention_days = 30\n[accounts."a/b"]\nbuffer = 5\n')

    answer = json.loads(run("--config", str(file), "--json", RETENTION_DAYS="40"))
    rows = {row["name"]: (row["value"], row["from"]) for row in answer["settings"]}

    assert rows["BUFFER"] == (3, "file")
    assert rows["RETENTION_DAYS"] == (40, "environment")
    assert rows["WEB_PORT"] == (6066, "default")
    assert answer["accounts"] == {"a/b": {"buffer": 5}}
    assert "a/b" in run("--config", str(file))


def test_secrets_are_hidden() -> None:
    login = {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "me", "SASL_PASSWORD": HIDDEN}

    for out in (run("--json", **login), run(**login)):
        assert HIDDEN not in out
        assert "SASL_PASSWORD" in out
        assert "***" in out
