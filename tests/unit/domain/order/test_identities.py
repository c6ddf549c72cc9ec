from __future__ import annotations

from worker.domain.order.identities import content_of


def test_an_identity_is_not_found_across_two_others_nor_in_their_contents() -> None:
    identities = b"1234567_" + b"abcdefgh" + b"........" + b"12345678"
    assert content_of(identities, b"1234567_") == b"abcdefgh"
    assert content_of(identities, b"........") == b"12345678"
    for found_elsewhere in (b"abcdefgh", b"4567_abc", b"efgh....", b"12345678", b"nowhere!"):
        assert content_of(identities, found_elsewhere) is None
    assert content_of(identities + b"abcdefgh" + b"ABCDEFGH", b"abcdefgh") == b"ABCDEFGH"
