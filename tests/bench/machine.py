"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from deploy.kafka.jars import kafka_version


def machine() -> str:
    """Processor, Python, core and broker, in one line."""
    return (
        f"{os.cpu_count()} x {_processor()}, Python {platform.python_version()}, {_core()}, "
        f"Apache Kafka {kafka_version()}"
    )


def _core() -> str:
    """Which core the workers run: they are other processes, and find the package without this folder's help."""
    command = [sys.executable, "-P", "-c", "import worker.domain.ledger as rules; print(rules.__file__)"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return "core in Python" if found.endswith(".py") else "core compiled"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
