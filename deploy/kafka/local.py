"""Nodes of Apache Kafka as processes of this machine: format, start, wait until they answer, stop, kill, pause.

Tests start clusters here and break their nodes on purpose; `make kafka` keeps one in the foreground. No process
outlives the one that started it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.kafka.jars import HERE, jars, require_java
from deploy.kafka.settings import AUTHORIZER, Ports, node_settings, properties_text
from worker.demo.children import child_process

# Any fixed value: the identity of a cluster that no other node joins.
CLUSTER_ID = "c3RvY2tmcmVlemUtbG9jYQ"
TRANSACTION_VERSION = 2
"""The transactions that a new cluster agrees on: those of Kafka 4."""
START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 30.0
_PROBE_TIMEOUT_SECONDS = 2.0
_PROBE_INTERVAL_SECONDS = 0.1
_LOG_LINES_SHOWN = 20
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of Java for a process that ends before a better compiler or collector could pay."""
# Below the range from which Linux takes the ports of outgoing connections: while a broker is down, a client that
# retries could be given the broker's own port.
_FREE_PORTS = range(20_000, 32_000)


class KafkaStartError(Exception):
    """A node did not come up. The message gives the reason, with the end of its log."""


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now. Raises `KafkaStartError` if none of 100 tried is free."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Find several free ports together, because ports found one by one may be equal."""
    drawn = secrets.SystemRandom().sample(_FREE_PORTS, 100 + count)
    found = list(islice(filter(port_is_free, drawn), count))
    if len(found) < count:
        raise KafkaStartError("no free port found on 127.0.0.1")
    return found


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        # As the broker does: connections of the last owner that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def brokers_known_to(port: int) -> int:
    """Count the brokers that the one at this port of 127.0.0.1 lists as alive; 0: it does not answer."""
    client = b"stockfreeze-probe"
    # Metadata v1 without topics: api key 3, version 1, correlation id 1, client id, an empty array.
    request = struct.pack(f">hhih{len(client)}si", 3, 1, 1, len(client), client, 0)
    # Size, correlation id, and the length of the array of brokers.
    answer = _asked(port, request, 12)
    return int(struct.unpack(">iii", answer)[2]) if len(answer) == 12 else 0


def is_active_controller(port: int) -> bool:
    """Return whether the controller at this port is the active one; only that one knows a leader."""
    client, topic = b"stockfreeze-probe", b"__cluster_metadata"
    # DescribeQuorum v0 of that topic's partition 0: api key 55, correlation id 1, client id, no tags; arrays and
    # strings begin with their length plus one.
    request = struct.pack(
        f">hhih{len(client)}sbbb{len(topic)}sbibbb",
        *(55, 0, 1, len(client), client, 0),
        *(2, len(topic) + 1, topic, 2, 0, 0, 0, 0),
    )
    # Size, correlation id, tags, error, the topics, its name, the partitions, its number, error, leader.
    head = struct.Struct(f">iibhbb{len(topic)}sbihi")
    answer = _asked(port, request, head.size)
    return len(answer) == head.size and int(head.unpack(answer)[-1]) > 0


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a child process (SIGSTOP) and wait until all of its threads stand still; nothing if it has ended."""
    process.send_signal(signal.SIGSTOP)
    if process.returncode is None:
        # The signal is only sent so far: a thread that runs on another core goes on for a moment, and may answer.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def _asked(port: int, request: bytes, size: int) -> bytes:
    """The first bytes of the answer to a request, its size included; fewer or none if they do not come."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PROBE_TIMEOUT_SECONDS) as connection:
            connection.settimeout(_PROBE_TIMEOUT_SECONDS)
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                return stream.read(size)
    except OSError:
        return b""


class KafkaNode:
    """A broker and controller in a process. `data_dir` holds its data, its settings and its output."""

    def __init__(
        self,
        node_id: int,
        ports: Sequence[Ports],
        data_dir: Path,
        java_options: Sequence[str],
        transaction_version: int = TRANSACTION_VERSION,
        more_settings: Mapping[str, str] | None = None,
    ) -> None:
        """Does nothing yet. `ports` are those of all nodes; `more_settings` go before those of `node_settings`."""
        self.node_id = node_id
        self.ports = ports[node_id - 1]
        self.log_path = data_dir / "node.log"
        self._settings_path = data_dir / "server.properties"
        self._data_dir = data_dir
        self._java_options = tuple(java_options)
        self._transaction_version = transaction_version
        self._settings = node_settings(node_id, ports, data_dir / "log") | dict(more_settings or {})
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Return whether the process lives, also if it is paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of the node, while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    def launch(self) -> None:
        """Start the process, with a new log directory the first time; returns at once. Raises `KafkaStartError`."""
        if self.running:
            return
        self.kill()  # one that ended by itself is still on the stack
        taken = [port for port in self.ports.own if not port_is_free(port)]
        if taken:
            raise KafkaStartError(f"port {taken[0]} of 127.0.0.1 is taken by another program")
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._settings_path.write_text(properties_text(self._settings))
        if not (self._data_dir / "log" / "meta.properties").exists():
            self._format()
        command = self._java("kafka.Kafka", str(self._settings_path), options=self._java_options)
        self._process = self._running.enter_context(child_process(command, log=self.log_path))

    def await_ready(self, brokers: int = 1, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Wait until the node answers and lists that many brokers. Raises `KafkaStartError`: ended, or too late."""
        deadline = time.monotonic() + timeout_seconds
        while brokers_known_to(self.ports.clients) < brokers:
            if not self.running:
                raise KafkaStartError(self.failure("ended while starting"))
            if time.monotonic() > deadline:
                raise KafkaStartError(
                    self.failure(f"did not answer at port {self.ports.clients} in {timeout_seconds} s")
                )
            time.sleep(_PROBE_INTERVAL_SECONDS)

    def start(self) -> None:
        """Start and wait until the node answers; used to bring back one that was stopped or killed."""
        self.launch()
        self.await_ready()

    def stop(self) -> None:
        """Shut down in order (SIGTERM); kill after `STOP_TIMEOUT_SECONDS`."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        self._running.close()
        self._process = None

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay open and nothing answers."""
        if self._process is not None:
            freeze(self._process)

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _format(self) -> None:
        feature = f"transaction.version={self._transaction_version}"
        arguments = ["format", "-t", CLUSTER_ID, "-c", str(self._settings_path), "--feature", feature]
        command = self._java("kafka.tools.StorageTool", *arguments, options=("-Xmx256m", *SHORT_LIVED))
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            output = (done.stdout + done.stderr).strip()
            raise KafkaStartError(f"Apache Kafka could not format {self._data_dir}:\n{output}")

    def _java(self, main_class: str, *arguments: str, options: Sequence[str]) -> list[str]:
        common = ["-XX:+ExitOnOutOfMemoryError", f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}"]
        return [require_java(), *options, *common, "-cp", f"{jars()}/*", main_class, *arguments]

    def failure(self, what: str) -> str:
        """A sentence on what happened to the node, and the end of its log."""
        tail = self.log_path.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join([f"Apache Kafka node {self.node_id} {what}. The end of {self.log_path}:", *tail])


class KafkaCluster:
    """One or more nodes as a context manager: entering it starts them and waits until they know each other.

    Without a `data_dir` the data is in a temporary folder and gone at the end, and nodes are killed; with one they are
    shut down in order.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        port: int | None = None,
        data_dir: Path | None = None,
        heap: str = "1g",
        proxied: bool = False,
        short_lived: bool = False,
        transaction_version: int = TRANSACTION_VERSION,
        authorizes: bool = False,
    ) -> None:
        """`port` is where the first node takes clients (a free one if None); the other ports are free ones.

        `heap` is Java's -Xmx of each node. `proxied`: every node also has the ports of `Ports` for clients that come
        through a proxy. `short_lived`: nodes are started again and again, so Java should not spend much on their speed.
        With a `transaction_version` of 1 they agree on transactions as they were before Kafka 4.
        `authorizes`: `SASL_USER` may do only what is granted to it; a client without a login may do everything.
        """
        self._temporary = data_dir is None
        self._data_dir = data_dir if data_dir is not None else Path(tempfile.mkdtemp(prefix="stockfreeze-kafka-"))
        drawn = iter(free_ports(5 * nodes))
        ports = [Ports(clients=next(drawn), controller=next(drawn), sasl=next(drawn)) for _ in range(nodes)]
        if proxied:
            ports = [each._replace(behind_proxy=next(drawn), proxy=next(drawn)) for each in ports]
        if port is not None:
            ports[0] = ports[0]._replace(clients=port)
        folders = [self._data_dir / f"node-{number}" for number in range(1, nodes + 1)]
        options = [f"-Xmx{heap}", *(SHORT_LIVED if short_lived else ())]
        self.nodes = [
            KafkaNode(number, ports, folder, options, transaction_version, AUTHORIZER if authorizes else None)
            for number, folder in enumerate(folders, start=1)
        ]

    @property
    def bootstrap_servers(self) -> str:
        """Return the addresses for clients without authentication: "127.0.0.1:20001,127.0.0.1:20002"."""
        return ",".join(f"127.0.0.1:{node.ports.clients}" for node in self.nodes)

    @property
    def proxied_bootstrap_servers(self) -> str:
        """Return the addresses for clients that come through the proxies of a `proxied` cluster."""
        return ",".join(f"127.0.0.1:{node.ports.proxy}" for node in self.nodes)

    @property
    def sasl_bootstrap_servers(self) -> str:
        """Return the addresses for clients with SASL_PLAINTEXT, mechanism PLAIN, `SASL_USER` and `SASL_PASSWORD`."""
        return ",".join(f"127.0.0.1:{node.ports.sasl}" for node in self.nodes)

    def start(self) -> None:
        """Start every node and wait until each one lists all.

        Raises `KafkaStartError` or `KafkaUnavailable`, with nothing left behind.
        """
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.await_ready(brokers=len(self.nodes))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every node; a temporary data folder is removed."""
        for node in self.nodes:
            if self._temporary:
                node.kill()
            else:
                node.stop()
        if self._temporary:
            shutil.rmtree(self._data_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, whatever happened."""
        self.stop()
