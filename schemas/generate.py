"""Writes what is generated from the types: `json/*.schema.json` and `asyncapi.yaml`.

`python -m schemas.generate` writes the files; with `--check` it writes nothing, names those that are not as they would
be written, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from schemas.asyncapi import document
from schemas.catalogue import schema_of, type_names

ROOT: Final = Path(__file__).parent

_HEADER: Final = "# Generated from the types by `python -m schemas.generate`. Do not edit.\n"


class _BlockDumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read, line by line."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _BlockDumper.represent_text)


def generated() -> dict[str, str]:
    """Returns the text of every generated file, by its path within `schemas/`."""
    files = {
        f"json/{name}.schema.json": json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"
        for name in type_names()
    }
    text = yaml.dump(document(), Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=120)
    return {**files, "asyncapi.yaml": _HEADER + text}


def stale_files(root: Path) -> list[str]:
    """Returns the generated files under `root` that differ from what would be written, are missing or left over."""
    files = generated()
    present = {path.relative_to(root).as_posix() for path in root.glob("json/*")}
    different = [
        name for name, text in files.items() if not (root / name).is_file() or (root / name).read_text("utf-8") != text
    ]
    return sorted({*different, *(present - files.keys())})


def write(root: Path) -> None:
    """Writes every generated file under `root` and removes those that no type has any more."""
    for name in stale_files(root):
        (root / name).unlink(missing_ok=True)
    (root / "json").mkdir(exist_ok=True)
    for name, text in generated().items():
        (root / name).write_text(text, "utf-8")


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="Write the generated schemas.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    if not parser.parse_args(arguments).check:
        write(root)
        return 0
    stale = stale_files(root)
    for name in stale:
        sys.stderr.write(f"schemas/{name} is stale: run python -m schemas.generate\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
