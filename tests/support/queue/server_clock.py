"""What a server's clock leaves that has gone back: times that have yet to come.

A real server has no clock but the machine's, and XCLAIM takes no time to come. RESTORE takes what
it is given, once the check sum is right.
"""

import struct

import redis

_FOOTER = struct.Struct("<HQ")
_MOMENT = struct.Struct("<Q")
_A_DAY_MS = 86_400_000


def deliver_later(client: redis.Redis, stream: str, entry_id: str, milliseconds: int) -> None:
    """Make an entry that is pending one that was delivered so much later than it was."""
    dumped = client.dump(stream)
    assert dumped, f"there is no {stream}"
    dump = bytearray(dumped)
    now = client.time()[0] * 1000
    ms, _, sequence = entry_id.partition("-")
    raw_id = struct.pack(">QQ", int(ms), int(sequence))
    # The group's account of what is pending: the id and when it was delivered.
    at = dump.find(raw_id)
    while at >= 0:
        place = at + len(raw_id)
        if place + _MOMENT.size <= len(dump):
            (delivered,) = _MOMENT.unpack_from(dump, place)
            if abs(delivered - now) < _A_DAY_MS:
                _MOMENT.pack_into(dump, place, delivered + milliseconds)
        at = dump.find(raw_id, at + 1)
    version, _ = _FOOTER.unpack_from(dump, len(dump) - _FOOTER.size)
    body = bytes(dump[: -_FOOTER.size]) + struct.pack("<H", version)
    client.restore(stream, 0, body + _MOMENT.pack(_crc64(body)), replace=True)


def _crc64(data: bytes) -> int:
    """Return the check sum of Redis's dumps: CRC-64 with the polynomial of Jones."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc
