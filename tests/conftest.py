"""Fixtures of all tests, and what a run says about the brokers it did without.

A test that asks for `broker` runs once on every kind of broker; with the marker `apache` on Apache Kafka alone. What
cannot run here is skipped, and listed with its reason at the end. With `TESTS_REQUIRE_APACHE_KAFKA=1` (as in CI)
a run that cannot use Apache Kafka fails before it begins.

`make test` has several processes share the tests: each has brokers of its own, and the first one tells what was left
out.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from tests.brokers import Broker, BrokerKind, Brokers, Names, unique_names, why_not

REQUIRE_APACHE_KAFKA = "TESTS_REQUIRE_APACHE_KAFKA"
# Time is for pytest-timeout to watch: an example that meets a busy machine is no failure. What fails can be repeated
# from what is printed.
hypothesis.settings.register_profile("stockfreeze", deadline=None, print_blob=True)
hypothesis.settings.load_profile("stockfreeze")

# A connection that aiokafka is still greeting when its client ends is left to the garbage collector, which complains.
LEFT_BY_THE_CLIENT = (
    r"ignore:Exception ignored in. <(socket|function (AIOKafkaConnection|StreamWriter|_SelectorTransport))"
    ":pytest.PytestUnraisableExceptionWarning"
)

LEFT_OUT = "left out"
"""Property of a test that is skipped for want of a broker: the kind, and why there is none."""

MEASURED = ("tests/unit/domain", "tests/unit/stream", "tests/property", "tests/integration/stream")
"""Tests that count for `make coverage`. The others take branches without a word on what these should do."""

_clients_ended = pytest.StashKey[bool]()
_follows_clients = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """All brokers of the run; most tests want `broker`."""
    running = Brokers()
    yield running
    running.close()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, brokers: Brokers) -> Broker:
    """A running broker, shared with other tests: use `names` for everything made on it."""
    return brokers.get(request.param)


@pytest.fixture
def names() -> Names:
    """A topic prefix and an application id of this test alone."""
    return unique_names()


@pytest.fixture(autouse=True)
def _collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a client left behind is complained of in the test that it belongs to.

    Or in the next one, before it begins: what was logged with an error holds it until its test has ended.
    """
    if request.node.stash.get(_follows_clients, False):
        gc.collect()
    yield
    if _ends_clients(request.node):
        gc.collect()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" not in metafunc.fixturenames:
        return
    apache = pytest.param(BrokerKind.APACHE, id="apache", marks=pytest.mark.apache)
    embedded = pytest.param(BrokerKind.EMBEDDED, id="embedded")
    only_apache = metafunc.definition.get_closest_marker("apache") is not None
    metafunc.parametrize("broker", [apache] if only_apache else [apache, embedded], indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get(REQUIRE_APACHE_KAFKA) == "1" and not config.option.collectonly:
        reason = why_not(BrokerKind.APACHE)
        if reason is not None:
            raise pytest.UsageError(f"{REQUIRE_APACHE_KAFKA} is set, and Apache Kafka cannot run here: {reason}")


@pytest.hookimpl(trylast=True)  # when what was not asked for has been left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        kind = _kind_of(item)
        reason = None if kind is None or config.option.collectonly else why_not(kind)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"no {kind} broker: {reason}"))
            item.user_properties.append((LEFT_OUT, [str(kind), reason]))
        if config.pluginmanager.hasplugin("_cov") and not item.nodeid.startswith(MEASURED):
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest looks for the filters of a test
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    ends_clients = _ends_clients(item)
    follows_clients = item.config.stash.get(_clients_ended, False)
    item.stash[_follows_clients] = follows_clients and not ends_clients
    if follows_clients or ends_clients:
        item.add_marker(pytest.mark.filterwarnings(LEFT_BY_THE_CLIENT))
    item.config.stash[_clients_ended] = ends_clients
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out: dict[tuple[str, str], list[str]] = defaultdict(list)
    for report in terminalreporter.getreports("skipped"):
        for kind, reason in (value for name, value in report.user_properties if name == LEFT_OUT):
            left_out[kind, reason].append(report.nodeid)
    for (kind, reason), tests in left_out.items():
        terminalreporter.section(f"no {kind} broker: {len(tests)} skipped", yellow=True)
        terminalreporter.write_line(f"Why: {reason}")
        terminalreporter.write_line("These say nothing about this run:")
        for test in sorted(tests):
            terminalreporter.write_line(f"  {test}")


def _ends_clients(item: pytest.Item) -> bool:
    """Whether a test may end clients of a broker in the middle of their work."""
    return not {"integration", "e2e", "chaos", "simulation"}.isdisjoint(item.path.parts)


def _kind_of(item: pytest.Item) -> BrokerKind | None:
    # The mark comes first: a parametrised test has it from its parameter, one with a cluster of its own from itself.
    if item.get_closest_marker("apache") is not None:
        return BrokerKind.APACHE
    return BrokerKind.EMBEDDED if "broker" in getattr(item, "fixturenames", ()) else None
