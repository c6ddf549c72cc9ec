"""`python -m deploy.kafka`: Apache Kafka in the foreground for development. Its data is kept; Ctrl-C stops it."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from deploy.kafka.jars import CACHE, KafkaUnavailable, kafka_version
from deploy.kafka.local import KafkaCluster, KafkaStartError

_WATCH_INTERVAL_SECONDS = 0.5


def main() -> int:
    """Run until interrupted. Exit code 0 after Ctrl-C or SIGTERM, 1 when the broker failed, 2 on bad usage."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    data_dir: Path = options.data_dir if options.data_dir is not None else CACHE / f"data-{options.port}"
    try:
        print(f"Starting Apache Kafka {kafka_version()} at 127.0.0.1:{options.port} ...", flush=True)
        with KafkaCluster(options.nodes, port=options.port, data_dir=data_dir, heap=options.heap) as cluster:
            print(_directions(cluster.bootstrap_servers, data_dir), flush=True)
            _watch(cluster)
    except (KafkaUnavailable, KafkaStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Apache Kafka has stopped.", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092, help="port of 127.0.0.1 for clients (default: %(default)s)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers (default: %(default)s)")
    parser.add_argument("--heap", default="1g", help="memory of each, like Java's -Xmx (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, help="where the data is kept (default: .cache/kafka/data-PORT)")
    return parser.parse_args()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(cluster: KafkaCluster) -> None:
    while True:
        time.sleep(_WATCH_INTERVAL_SECONDS)
        for node in cluster.nodes:
            if not node.running:
                raise KafkaStartError(f"node {node.node_id} ended by itself; see {node.log_path}")


def _directions(servers: str, data_dir: Path) -> str:
    return f"""
Apache Kafka is up at {servers}. Its data stays in {data_dir}; remove that folder to start afresh.

In another terminal:
  export STOCKFREEZE_BOOTSTRAP_SERVERS={servers}
  .venv/bin/stockfreeze topics create     once: the topics, with STOCKFREEZE_PARTITIONS partitions each
  .venv/bin/stockfreeze run               the worker
  .venv/bin/stockfreeze verify            whether journal, levels and state agree
  make demo ARGS="--bootstrap-servers {servers}"

Ctrl-C stops the broker."""


if __name__ == "__main__":
    sys.exit(main())
