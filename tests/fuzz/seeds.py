#!/usr/bin/env python3
"""seeds.py FOLDER - writes a few inputs for each fuzzer into FOLDER/NAME, for it to begin with."""

import os
import struct
import sys

DEVICE = "4f2c6a52-65cf-4d63-a4ee-7d1ff6ed8a0f"
PEER = "d0a2c1de-3a55-4c3b-8b0e-0f8f1a3f5a11"
NIL, TRUE, FALSE = None, True, False


def times():
    for text in ("2026-01-02T03:04:05.000000006Z", "1969-12-31t23:59:59+23:59",
                 "1990-12-31 23:59:60Z", "1990-12-31T15:59:60.5-08:00",
                 "1677-09-21T00:12:43.145224193Z", "2262-04-11T23:47:16.854775807Z",
                 "2024-02-29T00:00:00.123456789999Z", "0000-01-01T00:00:00-00:00"):
        yield text.encode()
    yield struct.pack("<qq", 0, -1)


def records():
    time = "2026-01-02T03:04:05.000000006Z"
    for resource in ("entry", "\u00e9\u20ac\U0001f600", "x" * 437):
        key = f"{DEVICE}|{PEER}|{resource}".encode()
        yield key + f"\n{time}|{time}||00000000".encode()
        yield key + f"\n{time}|{time}|{time}|00000000".encode()
    yield b"\n" + struct.pack("<qqqBB", 1, 2, 3, 4, 5)


def pack(value):
    """MessagePack, as far as our messages need it."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack("B", value) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return bytes([0xa0 + len(value)]) + value.encode()
    if isinstance(value, bytes):
        return bytes([0xc4, len(value)]) + value
    return bytes([0x90 + len(value)]) + b"".join(map(pack, value))


def messages():
    def head(kind):
        return [kind, 3, b"L" * 16, b"D" * 16, 1 << 62, 1704067200 * 10**9, 1704067300 * 10**9]

    want = ["item", 5, 6, NIL, FALSE, 0, 7, 8]
    question = [1, 500, 262144, 0, [want, ["place", NIL, NIL, 7, TRUE, 2, NIL, NIL]]]
    rows = [[FALSE, 3, b"D" * 16, "k1", "name", 1], [TRUE, 4, b"E" * 16, b"k2"],
            [FALSE, 5, b"D" * 16, 7, NIL, 1.5]]
    seen = [[8, 9, 10], [6, 9, 7]]
    full = ["item", 2, 9, rows, NIL, FALSE, 9, TRUE, seen, FALSE, [2, b"S" * 16]]
    empty = ["place", NIL, NIL, [], 3, TRUE, 0, FALSE, [], TRUE, NIL]
    yield pack(head(1) + [[["item", ["uuid", "name", "size"]]], question])
    yield pack(head(1) + [[], [0, 1, 1, 1, NIL]])
    yield pack(head(2) + [question])
    yield pack(head(3) + [1 << 62, 1, 0, [full, empty], TRUE])
    yield pack(head(4))


def sessions():
    hello = bytes([1, 0, 0, 0, 1, 7, 0, 4, 0, 0, 0])  # session, epoch, life, question without wants
    row = bytes([0, 1, 4, 9])  # alive, of the peer, a stamp
    values = bytes([3, 0]) + b"name" + bytes([1, 200])
    item = bytes([1, 0, 6, 0, 4, 50, 4, 50, 1]) + row + bytes([5]) + values
    place = bytes([0, 0, 6, 0, 4, 60, 4, 70, 1]) + bytes([3, 1, 4, 9, 2])
    page = bytes([3, 0, 0, 0, 0, 2]) + place + item + bytes([0])
    last = bytes([3, 0, 0, 0, 0, 0, 0])
    want = bytes([2, 0, 0, 0, 2, 7, 0, 4, 0, 0, 2,
                  0, 6, 0, 1, 0, 0, 0, 1, 4, 20, 1, 6, 0, 1, 0, 0, 0, 0])
    write = bytes([6, 0, 4, 5, 6, 2, 1, 0])
    begin = bytes([12, 1])
    yield bytes([0]) + hello + page + last
    yield bytes([1]) + hello + want + page + write + bytes([9, 4, 0, 0]) + want
    yield bytes([2]) + hello + page + begin + hello + page + bytes([13, 14, 15, 10, 11, 8, 5])
    yield bytes([0]) + hello + page + bytes([0xf3]) + page[1:] + bytes([20, 0, 3])
    yield bytes([0, 5, 4]) + b"\x94\x01\x02\xc4"


def stores():
    for base in range(4):
        yield bytes([base, 1])  # as it is
        yield bytes([base, 0]) + struct.pack("<I", 8192)[:3]  # cut
        for place in (24, 120, 4096 + 120, 8192 + 10, 12288 + 16, 16384 + 18):
            yield bytes([base, 1]) + struct.pack("<I", place)[:3] + bytes([1, 1, 2])
    yield bytes([4]) + bytes(64)


def shells():
    name = f"{DEVICE} {PEER} entry"
    lines = "\n".join((
        f"advance {name} --after none 2026-01-01T00:00:00Z", f"get {name}", f"ls {DEVICE}", "ls",
        f"set {name} --expect 2026-01-01T00:00:00Z none", f"rm {DEVICE} {PEER} --yes", "stat",
        "# a comment", "  ", "satt", "'get' \"a b\"", "help", "get --json 'x", "quit", "stat"))
    yield b"\0" + lines.encode()
    yield b"\1" + lines.encode()
    yield b"\1get \xff\xfe \x7f \xc2\x9b\n\0#\nstat " + b"x" * 70


def imports():
    name = f'"device": "{DEVICE}", "peer": "{PEER}"'
    time = '"2026-01-02T03:04:05.000000007Z"'
    lines = [f'{{{name}, "resource": "{resource}", "watermark": {time}, "updated_at": {time}, '
             f'"epoch": {epoch}}}\n' for resource, epoch in (("entry", "null"), ("tag", time))]
    yield b"\0" + "".join(lines).encode()
    yield b"\x0c" + "".join(lines).encode()
    yield b"\0" + (lines[0] + lines[0]).encode()
    yield b"\x0c" + lines[1].replace("Z", "+01:00").encode() + b"{}\n"
    yield b"\3"
    yield b"\x0f"
    for place in (16, 100, 512, 540, 1024, 1500, 2000, 2048):
        yield b"\3" + struct.pack("<H", place) + b"\1\0\1"


def main():
    made = {"time": times, "record": records, "message": messages, "session": sessions,
            "store": stores, "shell": shells, "import": imports}
    for name, inputs in made.items():
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for number, data in enumerate(inputs()):
            with open(os.path.join(folder, f"seed-{number:02}"), "wb") as file:
                file.write(data)


main()
