"""The build's one choice that pyproject.toml cannot make: with COMPILE_CORE=1 the hot path becomes C extensions.

They come from the same source by mypyc, which needs a C compiler. The pure Python is the reference, and what one works
on.
"""

import os
from pathlib import Path

from setuptools import setup

AROUND_THE_RULES = (
    "schemas/decoding.py",
    "schemas/encoding.py",
    "schemas/identity.py",
    "schemas/times.py",
    "worker/stream/partitioning.py",
    "worker/processors/ledger.py",
    "worker/stream/transactions/batch.py",
    "worker/stream/transactions/breaker.py",
    "worker/stream/merge.py",
    "worker/stream/kafka/open_batches.py",
    "worker/stream/state/input_progress.py",
    "worker/stream/records.py",
)
"""What else every record passes through."""


def _extensions() -> list[object]:
    if os.environ.get("COMPILE_CORE") != "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415  # a build of pure Python does without it

    rules = sorted(str(path) for path in Path("worker/domain").rglob("*.py") if path.name != "__init__.py")
    return list(mypycify([*rules, *AROUND_THE_RULES], opt_level="3", debug_level="0"))


setup(ext_modules=_extensions())
