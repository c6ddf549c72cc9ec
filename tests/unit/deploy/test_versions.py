"""What is pinned in more than one place is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from deploy.kafka.jars import kafka_version
from deploy.kafka.settings import MESSAGE_BYTES_MAX

ROOT = Path(__file__).parents[3]
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*==\S+)", re.MULTILINE)


def pins(lock: str) -> set[str]:
    return set(_PIN.findall((ROOT / lock).read_text()))


def test_compose_runs_the_apache_kafka_that_is_tested() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"
    assert services["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"] == str(MESSAGE_BYTES_MAX)


def test_the_image_is_built_from_the_versions_that_are_tested() -> None:
    assert pins("requirements-run.lock") <= pins("requirements.lock")


def test_the_locks_name_no_index() -> None:
    for lock in ("requirements.lock", "requirements-run.lock", "requirements-peers.lock"):
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert "--index-url" not in text
