from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import branches
from tests.branches import PACKAGES, Taken, table, taken

ROOT = Path(__file__).parents[2]


def report(**files: tuple[int, int]) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    """A report of files, named with `__` for a slash, by their branches taken and their branches."""
    return {
        "files": {
            f"worker/{name.replace('__', '/')}.py": {"summary": {"covered_branches": covered, "num_branches": number}}
            for name, (covered, number) in files.items()
        }
    }


def test_the_files_of_a_package_and_its_rooms_add_up() -> None:
    counts = taken(report(domain__books=(9, 10), domain__order__claims=(4, 4), stream__task=(1, 2), ops__health=(0, 8)))
    assert counts == [Taken("worker/domain", 13, 14), Taken("worker/stream", 1, 2)]


@pytest.mark.parametrize(
    ("count", "enough"),
    [
        (Taken("worker/domain", 95, 100), True),
        (Taken("worker/domain", 949, 1000), False),
        (Taken("worker/domain", 1, 1), True),
        (Taken("worker/domain", 0, 0), False),
    ],
)
def test_a_package_needs_95_percent_of_its_branches(*, count: Taken, enough: bool) -> None:
    assert count.is_enough is enough


def test_a_share_is_rounded_down() -> None:
    assert "| worker/domain | 10000 | 9499 | 94.9 % |" in table([Taken("worker/domain", 9499, 10_000)])


@pytest.mark.parametrize(("of_the_engine", "code"), [(96, 0), (94, 1)])
def test_a_package_with_too_few_is_named(
    of_the_engine: int,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(branches, "REPORT", tmp_path / "report.json")
    branches.REPORT.write_text(json.dumps(report(domain__books=(100, 100), stream__task=(of_the_engine, 100))))
    assert branches.main() == code
    printed = capsys.readouterr()
    assert "| worker/stream | 100 |" in printed.out
    assert ("of worker/stream:" in printed.err) is (code == 1)
    assert "worker/domain" not in printed.err


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_is_measured_is_there(package: str) -> None:
    assert list((ROOT / package).glob("**/*.py"))
