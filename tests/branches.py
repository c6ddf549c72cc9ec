"""The branches of the rules and of the engine that a run of tests took, and whether they are enough.

`make coverage` measures and writes the report that this reads. Each package counts by itself, so that a gap in one
does not hide behind the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPORT = Path(__file__).parents[1] / ".cache" / "coverage" / "report.json"
PACKAGES = ("worker/domain", "worker/stream")
PERCENT_MIN = 95


@dataclass(frozen=True)
class Taken:
    """How many of a package's branches were taken."""

    package: str
    taken: int
    branches: int

    @property
    def is_enough(self) -> bool:
        """Whether that is the least share or more; a package without a branch was not measured."""
        return self.branches > 0 and 100 * self.taken >= PERCENT_MIN * self.branches


def taken(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> list[Taken]:
    """Add up a JSON report of coverage.py by package."""
    counts = []
    for package in PACKAGES:
        files = [file["summary"] for path, file in report["files"].items() if path.startswith(f"{package}/")]
        covered = sum(file["covered_branches"] for file in files)
        counts.append(Taken(package, covered, sum(file["num_branches"] for file in files)))
    return counts


def table(counts: Iterable[Taken]) -> str:
    """The figures as a table in Markdown, rounded down, so that none looks enough that is not."""
    rows = ["| package | branches | taken | share |", "|---|---:|---:|---:|"]
    for count in counts:
        permille = 1000 * count.taken // max(count.branches, 1)
        rows.append(f"| {count.package} | {count.branches} | {count.taken} | {permille / 10:.1f} % |")
    return "\n".join(rows)


def main() -> int:
    """Print the figures; 1 where a package has too few."""
    counts = taken(json.loads(REPORT.read_text(encoding="utf-8")))
    print(table(counts))
    lacking = [count.package for count in counts if not count.is_enough]
    if lacking:
        named = " and ".join(lacking)
        print(
            f"error: the tests take too few branches of {named}: at least {PERCENT_MIN} % are needed", file=sys.stderr
        )
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
