"""What a test run says, and how it ends, on a machine without Java."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REQUIRE_APACHE_KAFKA

ROOT = Path(__file__).parents[2]


def run_tests(empty: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a few tests that want a broker, with nothing on the PATH."""
    inherited = {name: value for name, value in os.environ.items() if name != REQUIRE_APACHE_KAFKA}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "tests/integration/test_local_brokers.py",
            "-k",
            "topic",
        ],
        cwd=ROOT,
        env={**inherited, "PATH": str(empty), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_java_a_run_passes_and_lists_what_it_skipped(tmp_path: Path) -> None:
    done = run_tests(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "no apache broker: 1 skipped" in done.stdout
    assert "Why: Java 17 or newer is not installed" in done.stdout
    assert "test_a_topic_that_exists_is_refused[apache]" in done.stdout


def test_a_run_that_must_use_apache_kafka_fails_without_java(tmp_path: Path) -> None:
    done = run_tests(tmp_path, **{REQUIRE_APACHE_KAFKA: "1"})
    assert done.returncode != 0
    assert "Apache Kafka cannot run here: Java 17 or newer is not installed" in done.stderr
    assert "passed" not in done.stdout
