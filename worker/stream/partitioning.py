"""How a partition is picked: by the account id, as Kafka's Java client places a record with that key.

Contract section 1. Every input and output of an account lies in this partition, whatever the record's own key.
"""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2


# The hash is computed in Python, and needed for every record.
@lru_cache(maxsize=65_536)
def partition_of(account_id: str, partition_count: int) -> int:
    """The partition of an account's records.

    It is `murmur2(account_id) mod partition_count`, the sign bit of the hash cleared as the Java client does.
    """
    return (int(murmur2(account_id.encode())) & 0x7FFFFFFF) % partition_count
