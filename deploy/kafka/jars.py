"""Where the broker's jars come from: Maven, once per content of `pom.xml`, kept in the project's cache."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "kafka"
POM = HERE / "pom.xml"
JAVA_VERSION_MIN = 17
FETCH_TIMEOUT_SECONDS = 600


class KafkaUnavailable(Exception):
    """Apache Kafka cannot be had on this machine. The message is one sentence that names what is missing."""


def kafka_version() -> str:
    """The pinned version of Apache Kafka, such as "4.1.2"."""
    version = ET.parse(POM).findtext(".//{*}properties/{*}kafka.version")  # noqa: S314 - a file of this repository
    if version is None:
        raise KafkaUnavailable(f"{POM} has no property kafka.version")
    return version


def jars() -> Path:
    """The folder with the jars of Apache Kafka, fetched when they are not in the cache yet.

    Processes that call this at the same time wait for the one that fetches.
    Raises `KafkaUnavailable`: no Java 17, no Maven, or no answer from its repository.
    """
    require_java()
    folder = _folder()
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def missing() -> str | None:
    """Find what keeps Apache Kafka from running here, in words; None: nothing does. Fetches nothing."""
    try:
        require_java()
        if not _folder().is_dir():
            _require_maven()
    except KafkaUnavailable as error:
        return str(error)
    return None


def require_java() -> str:
    """The path of a Java that can run the broker. Raises `KafkaUnavailable`."""
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailable(f"Java {JAVA_VERSION_MIN} or newer is not installed (no `java` on the PATH)")
    version_text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', version_text)
    if found is None or int(found[1]) < JAVA_VERSION_MIN:
        version = version_text.splitlines()[0] if version_text else "silent about its version"
        raise KafkaUnavailable(f"Java {JAVA_VERSION_MIN} or newer is needed, and {java} is {version}")
    return java


def _require_maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Maven is not installed (no `mvn` on the PATH), and the jars are not in the cache")
    return maven


def _folder() -> Path:
    # Named by the recipe: another version or dependency is another folder. A half-done one has another name.
    return CACHE / f"libs-{kafka_version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"


def _fetch(folder: Path) -> None:
    half_done = Path(tempfile.mkdtemp(prefix="fetching-", dir=CACHE))
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={half_done}"]
    command = [_require_maven(), "-B", "-q", "-f", str(POM), *goal]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise KafkaUnavailable(f"Maven could not fetch Apache Kafka {kafka_version()}:\n{output}")
        half_done.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailable(f"Maven did not fetch Kafka {kafka_version()} in {FETCH_TIMEOUT_SECONDS} s") from error
    finally:
        shutil.rmtree(half_done, ignore_errors=True)
