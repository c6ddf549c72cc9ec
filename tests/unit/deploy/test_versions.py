"""What is pinned in more than one place is the same everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from deploy.kafka.jars import kafka_version
from deploy.kafka.settings import MESSAGE_BYTES_MAX

ROOT = Path(__file__).parents[3]
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*==\S+)", re.MULTILINE)


def pins(lock: str) -> set[str]:
    return set(_PIN.findall((ROOT / lock).read_text()))


def workflow_input(action: str, name: str) -> str:
    """What the workflow of CI gives an action of GitHub's own."""
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["ci"]
    (step,) = [step for step in job["steps"] if step.get("uses", "").startswith(f"actions/{action}@")]
    value = step["with"][name]
    assert isinstance(value, str)
    return value


def test_compose_runs_the_apache_kafka_that_is_tested() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"
    assert services["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"] == str(MESSAGE_BYTES_MAX)


def test_the_image_is_built_from_the_versions_that_are_tested() -> None:
    assert pins("requirements-run.lock") <= pins("requirements.lock")


def test_ci_runs_the_oldest_python_that_is_promised() -> None:
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={workflow_input('setup-python', 'python-version')}" == promised


def test_ci_has_a_go_that_builds_actionlint() -> None:
    oldest = re.search(r"^GO_MINOR_MIN := (\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert oldest
    assert int(workflow_input("setup-go", "go-version").removeprefix("1.")) >= int(oldest[1])


def test_the_locks_name_no_index() -> None:
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert len(locks) >= 6
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text
