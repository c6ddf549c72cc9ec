"""What settings are refused with, and files to read them from."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.configuration import load_settings
from worker.settings import SettingsError

PASSWORD = "correct horse"  # noqa: S105 - nobody's


def refusal(environ: dict[str, str], config: Path | None = None) -> str:
    """The one sentence with which they are refused."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def file_with(tmp_path: Path, text: str) -> Path:
    """A configuration file in a folder."""
    path = tmp_path / "stockfreeze.toml"
    path.write_text(text, encoding="utf-8")
    return path
