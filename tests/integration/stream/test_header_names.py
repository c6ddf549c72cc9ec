"""A record whose header has a name that is not UTF-8 stops nothing: brokers take it from clients that do not check."""

from __future__ import annotations

import struct

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import numbers
from tests.integration.stream.world import World

NUMBERS = numbers(10)
CRC_AT, COUNTED_FROM = 17, 21


async def send_with_unreadable_header_name(world: World) -> None:
    """A batch of two records, the second of which has such a header."""
    async with AIOKafkaProducer(bootstrap_servers=world.broker.bootstrap_servers) as producer:
        batch = producer.create_batch()
        batch.append(key=b"key", value=b"1", timestamp=None)
        batch.append(key=b"key", value=b"2", timestamp=None, headers=[("ABCDE", b"x")])
        batch.close()
        data = bytearray(batch._build().replace(b"ABCDE", b"n\xe4m\xff\xc3"))
        struct.pack_into(">I", data, CRC_AT, calc_crc32c(bytes(data[COUNTED_FROM:])))
        batch._buffer = data
        await (await producer.send_batch(batch, world.a, partition=0))


async def test_a_header_name_that_is_not_utf8_stops_no_partition(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    async with world.running() as engine:
        await send_with_unreadable_header_name(world)
        await world.send(world.a, NUMBERS, partition=0)
        await world.send(world.a, NUMBERS, partition=1)
        await world.processed(2 + 2 * len(NUMBERS), engine)
    positions = await world.positions()
    assert [positions[partition][world.a].next_offset for partition in (0, 1)] == [12, 10]
