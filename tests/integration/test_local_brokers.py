"""The brokers themselves: what every other test takes for granted about them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from deploy.kafka.local import KafkaCluster, KafkaStartError, brokers_known_to, free_port, freeze, is_active_controller
from deploy.kafka.settings import RECORD_BYTES_MAX, SASL_PASSWORD, SASL_USER
from tests.brokers import Broker, Names, apache_kafka
from tests.waiting import eventually
from worker.demo.children import child_process

ROOT = Path(__file__).parents[2]
LONG_AGO_MS = 1_000
BUSY_THREADS = 6
# Hashing lets go of the interpreter, so that they run side by side.
BUSY = f"""
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(1 << 20))
for _ in range({BUSY_THREADS}):
    threading.Thread(target=work).start()
"""


async def test_a_record_of_8_mib_in_a_transaction_is_read_back(broker: Broker, names: Names) -> None:
    topic = f"{names.prefix}large"
    await broker.create_topics([topic], partitions=1)
    value = os.urandom(RECORD_BYTES_MAX - 1024)
    writer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, transactional_id=names.app_id, max_request_size=RECORD_BYTES_MAX * 2
    )
    async with writer as producer, producer.transaction():
        await producer.send_and_wait(topic, value, partition=0, timestamp_ms=LONG_AGO_MS)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert (record.value, record.timestamp) == (value, LONG_AGO_MS)


async def test_a_topic_that_exists_is_refused(broker: Broker, names: Names) -> None:
    await broker.create_topics([f"{names.prefix}twice"], partitions=2)
    with pytest.raises(TopicAlreadyExistsError):
        await broker.create_topics([f"{names.prefix}twice"], partitions=2)


@pytest.mark.apache
async def test_apache_kafka_refuses_a_wrong_password_and_takes_the_right_one(broker: Broker) -> None:
    def client(password: str) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=broker.sasl_bootstrap_servers,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username=SASL_USER,
            sasl_plain_password=password,
        )

    async with client(SASL_PASSWORD):
        pass
    refused = client("wrong")
    with pytest.raises(KafkaError):
        await refused.start()
    await refused.stop()


@pytest.mark.apache
@pytest.mark.timeout(300)
def test_nodes_can_be_killed_and_brought_back_with_their_data(tmp_path: Path) -> None:
    with KafkaCluster(data_dir=tmp_path, heap="512m") as cluster:
        node = cluster.nodes[0]
        node.kill()
        assert brokers_known_to(node.ports.clients) == 0
        node.start()
        node.pause()
        assert brokers_known_to(node.ports.clients) == 0
        node.resume()
        node.await_ready()
    assert not node.running


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the state of each thread")
def test_a_process_is_frozen_with_all_of_its_threads(tmp_path: Path) -> None:
    with child_process([sys.executable, "-c", BUSY], log=tmp_path / "log") as process:
        tasks = Path(f"/proc/{process.pid}/task")
        assert eventually(lambda: len(list(tasks.iterdir())) > BUSY_THREADS, 60)
        for _ in range(20):
            freeze(process)
            # pid (name) state …
            assert {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()} == {"T"}
            process.send_signal(signal.SIGCONT)


@pytest.mark.apache
def test_a_taken_port_is_named_and_nothing_is_left_behind(broker: Broker) -> None:
    port = int(broker.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(KafkaStartError, match=f"port {port} of 127.0.0.1 is taken"):
        KafkaCluster(port=port).start()


@pytest.mark.apache
def test_kafka_in_the_foreground_says_how_to_use_it_and_stops_in_order(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "deploy.kafka", "--port", str(port), "--data-dir", str(tmp_path), "--heap", "512m"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        shown = ""
        while "Ctrl-C" not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert f"STOCKFREEZE_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    assert brokers_known_to(port) == 0


@pytest.mark.apache
def test_a_killed_parent_takes_its_broker_along(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "deploy.kafka", "--port", str(port), "--data-dir", str(tmp_path), "--heap", "512m"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        assert eventually(lambda: brokers_known_to(port) > 0, 120)
        process.kill()
    assert eventually(lambda: brokers_known_to(port) == 0, 30)


@pytest.mark.apache
@pytest.mark.timeout(300)
def test_three_nodes_elect_another_controller_when_theirs_is_frozen() -> None:
    with apache_kafka(nodes=3) as cluster:
        assert {brokers_known_to(node.ports.clients) for node in cluster.nodes} == {3}
        (active,) = [node for node in cluster.nodes if is_active_controller(node.ports.controller)]
        active.pause()
        others = [node for node in cluster.nodes if node is not active]
        assert eventually(lambda: any(is_active_controller(node.ports.controller) for node in others), 60)
