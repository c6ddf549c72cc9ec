"""Brokers with an authorizer: docs/rights.md suffices for worker and commands, and a missing right is named."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.kafka.jars import jars, require_java
from deploy.kafka.local import SHORT_LIVED, KafkaCluster
from deploy.kafka.settings import SASL_PASSWORD, SASL_USER
from schemas.topics import LEDGER, Topic
from tests.brokers import Broker, BrokerKind, Names, apache_kafka
from tests.e2e.messages import order
from tests.e2e.system import WAIT_SECONDS_MAX, Message, System
from tests.e2e.worker_process import WorkerProcess, workers
from tests.unit.docs.pages import DOCS, blocks, text_of

RIGHTS = DOCS / "rights.md"
ACCOUNT = "shop-1"
LINES = [{"sku": "A", "quantity": 1}]
APP_ID = "stockfreeze"
PERSON = "User:alice"
"""Whom the page grants the commands' rights. Here it is the one user who can log in."""


@dataclass(frozen=True)
class Rights:
    """Grants and takes away, by the page's own commands and `kafka-acls.sh` as Apache Kafka has it."""

    cluster: KafkaCluster
    granted: list[str]

    def of_page(self, section: str, verb: str = "--add") -> None:
        """Run the commands that stand under a comment of the page's block."""
        [block] = [block.text for block in blocks(text_of(RIGHTS)) if block.language == "sh"]
        names, *parts = re.split(r"^# ", block, flags=re.MULTILINE)
        commands = {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}
        person = re.search(r"^person=.*\n", block, re.MULTILINE)
        assert person is not None
        script = f"set -e\n{names}{person[0]}{commands[section]}".replace("--add", verb).replace(
            "--bootstrap-server kafka:9092 --command-config admin.properties",
            f"--bootstrap-server {self.cluster.bootstrap_servers}",
        )
        self._run(script.replace(PERSON, f"User:{SASL_USER}"))
        if verb == "--add":
            self.granted.append(section)

    def take(self, *right: str) -> None:
        """Take one right away, such as `--operation Read --group stockfreeze`."""
        servers, user = self.cluster.bootstrap_servers, f"User:{SASL_USER}"
        arguments = ["--remove", "--force", "--allow-principal", user, *right]
        self._run(f"kafka-acls.sh --bootstrap-server {servers} {shlex.join(arguments)}")

    def _run(self, script: str) -> None:
        java = shlex.join([require_java(), "-Xmx128m", *SHORT_LIVED, "-cp", f"{jars()}/*"])
        command = f'kafka-acls.sh() {{ {java} org.apache.kafka.tools.AclCommand "$@"; }}\n{script}'
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Brokers that let those who log in do only what was granted."""
    with apache_kafka(authorizes=True) as started:
        yield started


@pytest.fixture
def rights(cluster: KafkaCluster) -> Iterator[Rights]:
    """Rights of which nothing is left after the test."""
    given = Rights(cluster, [])
    yield given
    for section in given.granted:
        given.of_page(section, "--remove")


@pytest.fixture
async def system(cluster: KafkaCluster) -> System:
    """The system of the page's names; made, and fed, without logging in."""
    system = System(Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster), Names("", APP_ID), 1)
    await system.create_topics()
    return system


@pytest.fixture
def login(cluster: KafkaCluster) -> dict[str, str]:
    return {
        "BOOTSTRAP_SERVERS": cluster.sasl_bootstrap_servers,
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_USERNAME": SASL_USER,
        "SASL_PASSWORD": SASL_PASSWORD,
    }


async def until_problem(worker: WorkerProcess, part: str) -> None:
    await worker.until(lambda answer: answer.status == 503 and part in answer.body, "/health/ready", WAIT_SECONDS_MAX)


@pytest.mark.apache
@pytest.mark.timeout(400)
async def test_a_worker_needs_the_documented_rights_and_names_a_missing_one(
    system: System, rights: Rights, login: dict[str, str], tmp_path: Path
) -> None:
    with workers(tmp_path, login) as start_worker:
        worker = start_worker()
        await until_problem(worker, f"the Kafka user {SASL_USER} lacks the right Describe on topics orders.events.v1, ")

        rights.of_page("run")
        await worker.ready(WAIT_SECONDS_MAX)
        await system.send([order("created", ACCOUNT, "e1", "o1", lines=LINES)])
        await worker.until(lambda answer: answer.status == 200, f"/accounts/{ACCOUNT}/orders/o1", WAIT_SECONDS_MAX)

        rights.take("--operation", "Write", "--transactional-id", f"{APP_ID}-", "--resource-pattern-type", "prefixed")
        await system.send([order("created", ACCOUNT, "e2", "o2", lines=LINES)])
        await until_problem(worker, f"lacks the right Write on transactional id {APP_ID}-0")
        rights.take("--operation", "Read", "--group", APP_ID)
        await worker.terminate()
        worker.start()
        await until_problem(worker, f"lacks the right Read on group {APP_ID}")
        assert "Traceback" not in worker.log


@pytest.mark.apache
@pytest.mark.timeout(400)
async def test_commands_need_the_documented_rights_and_name_a_missing_one(
    system: System, rights: Rights, login: dict[str, str], tmp_path: Path
) -> None:
    with workers(tmp_path, {"BOOTSTRAP_SERVERS": system.broker.bootstrap_servers}) as start_worker:
        worker = start_worker()
        await worker.ready(WAIT_SECONDS_MAX)
        await system.send(
            [order("created", ACCOUNT, "e3", "o3", lines=LINES), Message(Topic.ORDERS, ACCOUNT.encode(), b"bad")]
        )
        await worker.until(lambda answer: answer.status == 200, f"/accounts/{ACCOUNT}/orders/o3", WAIT_SECONDS_MAX)
        await worker.terminate()

    async def refused(*arguments: str) -> str:
        result = await system.stockfreeze(*arguments, **login)
        assert (result.code, result.err.count("\n")) == (2, 1), result
        return result.err

    commands: list[tuple[str, ...]] = [
        ("topics", "create"),
        ("verify",),
        ("dead-letters", "list"),
        ("order", ACCOUNT, "o3"),
    ]
    for command in commands:
        assert "lacks the right Describe on topics orders.events.v1, " in await refused(*command)
    checked = await system.stockfreeze("topics", "check", "--json", **login)
    assert {problem for topic in checked.json()["topics"] for problem in topic["problems"]} == {
        "cannot be seen: grant this command's user the right Describe on it, then check again"
    }

    sections = ("every command", "topics check", "verify", "order", "dead-letters replay")
    for section in (*sections, "send", "status", "why", "stock", "alerts", "drift"):
        rights.of_page(section)
    more: list[tuple[str, ...]] = [
        ("topics", "check"),
        ("why", ACCOUNT, "default", "A"),
        ("stock", ACCOUNT),
        ("status",),
        ("alerts",),
        ("alerts", "--open"),
        ("drift", ACCOUNT),
        ("dead-letters", "replay", "--all", "--yes", "--wait", "0"),
    ]
    for command in [*commands, *more]:
        result = await system.stockfreeze(*command, **login)
        assert result.code == int(command == ("status",)), result  # there is no worker

    rights.take("--operation", "Read", "--topic", Topic.MOVEMENTS)
    assert f"lacks the right Read on topic {Topic.MOVEMENTS}" in await refused("why", ACCOUNT, "default", "A")
    rights.take("--operation", "Describe", "--group", APP_ID)
    assert f"lacks the right Describe on group {APP_ID}" in await refused("verify")
    rights.take("--operation", "Write", "--topic", Topic.ORDERS)
    assert f"lacks the right Write on topic {Topic.ORDERS}" in await refused("dead-letters", "replay", "--all", "--yes")
    inputs = [part for topic in LEDGER.inputs for part in ("--topic", topic)]
    rights.take("--operation", "Write", *inputs, "--topic", Topic.DEAD_LETTERS)
    assert "lacks the right Write on the topics" in await refused("dead-letters", "replay", "--all", "--yes")
    rights.take("--operation", "DescribeConfigs", "--topic", Topic.STATE)
    assert f"lacks the right DescribeConfigs on topic {Topic.STATE}" in await refused("topics", "check")


@pytest.mark.apache
@pytest.mark.timeout(400)
async def test_the_ways_out_work_with_the_rights_of_the_readme(
    system: System, rights: Rights, login: dict[str, str], tmp_path: Path
) -> None:
    with workers(tmp_path, {"BOOTSTRAP_SERVERS": system.broker.bootstrap_servers}) as start_worker:
        worker = start_worker()
        await worker.ready(WAIT_SECONDS_MAX)
        await system.send([order("created", ACCOUNT, "e4", "o4", lines=LINES)])
        await worker.until(lambda answer: answer.status == 200, f"/accounts/{ACCOUNT}/orders/o4", WAIT_SECONDS_MAX)
        await worker.terminate()
    await system.delete(Topic.ORDERS)
    created = await system.stockfreeze("topics", "create")
    assert created.code == 0, created

    rights.of_page("every command")
    ways_out: list[tuple[str, tuple[str, ...]]] = [
        ("topics accept", ("topics", "accept", Topic.ORDERS, "--from", "beginning", "--yes")),
        ("topics republish", ("topics", "republish")),
        ("begin-anew", ("begin-anew", "--confirm", APP_ID)),
    ]
    for section, command in ways_out:
        lacking = await system.stockfreeze(*command, **login)
        assert (lacking.code, lacking.err.count("\n")) == (2, 1), lacking
        assert "lacks the right " in lacking.err
        rights.of_page(section)
        result = await system.stockfreeze(*command, **login)
        assert result.code == 0, result
        rights.of_page(section, "--remove")
        rights.of_page("every command")  # of which a part may have been taken away with it
