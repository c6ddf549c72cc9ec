"""How the commands show an answer to people."""

from __future__ import annotations

import pytest

from worker.cli.showing import print_table, visible


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("я\t1\n2", "я\t1\n2"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b1m\x7f\x00\r", "\\x9b1m\\x7f\\x00\\x0d"),
    ],
)
def test_what_somebody_sent_does_not_steer_the_terminal(
    sent: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visible(sent) == shown
    print_table("title", ["name"], [[sent.strip()]])
    assert "\x1b" not in capsys.readouterr().out
