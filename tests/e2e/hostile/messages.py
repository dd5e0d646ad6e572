"""Protocol buffers that are malformed, or well formed and out of every range."""

import random

import proto
from harness import MIB, attack
from http2 import Connection, api
from proto import double, field, prompt, varint

NESTED = b"\x0a" * 200000
METHODS = ("Generate", "GenerateStream", "Score", "Tokenize", "Detokenize", "GetServerInfo", "GetMemory")


def deep(levels):
    data = b""
    for _ in range(levels):
        data = field(1, data)
    return data


def refused(rig, method, body, *statuses):
    with Connection(rig.server.port, patience=5) as connection:
        answer = connection.call(api(method), body)
    wanted = statuses or ("INVALID_ARGUMENT",)
    rig.check(answer.status in wanted, f"{method} of {body[:40]!r}: {answer} instead of {' or '.join(wanted)}")
    rig.check(answer.status == "OK" or answer.text, f"{method} of {body[:40]!r}: {answer.status} without a word")
    rig.check(len(answer.text) < 2000, f"{method} of {body[:40]!r}: a message of {len(answer.text)} bytes")


@attack(short=True)
def malformed_messages(rig):
    """Bytes that are no message of the API, to every method."""
    rig.serve(peak=64 * MIB)
    bad = [b"\xff", b"\x12", b"\x12\x05hel", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x0c", b"\x00\x00", b"\x07",
           NESTED[:1000], b"\xff" * 11, b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
    for method in METHODS:
        for body in bad:
            refused(rig, method, body)
    counted = rig.server.metric("llm_rejected_total")
    rig.check(counted >= 2 * len(bad), f"only {counted:.0f} of the refused generations and scores are counted")


@attack(short=True)
def broken_utf8(rig):
    """Texts, roles, modes, stops and salts that are not UTF-8."""
    rig.serve(peak=64 * MIB)
    bad = b"\xff\xfe\x80"
    chat = field(1, field(1, field(1, bad) + field(2, "x")))
    for method in ("Generate", "GenerateStream", "Score", "Tokenize"):
        refused(rig, method, prompt(bad))
        refused(rig, method, chat)
        refused(rig, method, prompt(messages=[("user", b"\xed\xa0\x80")]))
    plain = prompt("hi")
    for body in (plain + field(4, bad), plain + field(6, field(3, bad)), plain + field(8, field(3, bad))):
        refused(rig, "Generate", body)


@attack()
def unknown_fields(rig):
    """Fields that the API does not have, at every level."""
    rig.serve(peak=64 * MIB)
    for number in (20, 99, 536870911):
        refused(rig, "Generate", prompt("hi") + field(number, 1))
        refused(rig, "Generate", prompt("hi") + field(5, field(number, "x")))
        refused(rig, "Score", prompt("hi") + field(number, b"x"))
        refused(rig, "Tokenize", prompt("hi") + field(number, 1.0))
        refused(rig, "Tokenize", field(1, field(1, field(1, "user") + field(2, "x") + field(number, 1))))
        refused(rig, "Detokenize", field(number, 1))


@attack()
def values_out_of_range(rig):
    """Numbers that are not numbers, or far from anything that makes sense, in every field of a request."""
    rig.serve(peak=64 * MIB)
    plain = prompt("hi")
    nan, inf = float("nan"), float("inf")
    for number, values in ((1, (nan, inf, -1.0, 101.0)), (2, (nan, 0.0, 1.5, -1.0)), (4, (nan, 1.0, -0.1)),
                           (5, (nan, 0.0, 101.0)), (6, (nan, inf, 101.0)), (7, (nan, -inf, -101.0))):
        for value in values:
            refused(rig, "Generate", plain + field(5, field(number, value)))
    for bias in (nan, inf, 101.0):
        refused(rig, "Generate", plain + field(5, field(9, field(1, 5) + field(2, bias))))
    refused(rig, "Generate", plain + field(5, field(9, field(1, 5)) * 2))
    refused(rig, "Generate", plain + field(5, field(9, field(1, 0xffffffff))))
    for value in (nan, -1.0, -inf):
        refused(rig, "Generate", plain + field(6, double(6, value)))
        refused(rig, "Generate", plain + field(8, double(2, value)))
    for value in (101, -101, 1 << 31, -1 << 31):
        refused(rig, "Generate", plain + field(8, field(1, value)))
    both = ("INVALID_ARGUMENT", "OUT_OF_RANGE")
    for value in (0, 513, 0xffffffff):
        refused(rig, "Generate", plain + field(6, field(1, value)), *both)
    for ids in ([5000], [0xffffffff], [2, 5000]):
        refused(rig, "Generate", prompt(ids=ids))
        refused(rig, "Detokenize", proto.detokenize(ids))
    refused(rig, "Generate", b"")
    refused(rig, "Generate", prompt(""), *both, "OK")
    refused(rig, "Score", prompt(ids=[5, 6]) + field(6, 0xffffffff), *both)
    refused(rig, "Score", prompt(ids=[5, 6]) + field(5, 0xffffffff), *both)


@attack()
def lists_too_long(rig):
    """100,000 stops, stop ids, biases and messages; a stop of 1 MB; a mode of 1 MB."""
    rig.serve(peak=128 * MIB)
    plain = prompt("hi")
    every = ("INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")
    for body in (field(6, field(3, "x") * 100000), field(6, field(3, "x" * MIB)),
                 field(6, field(4, b"".join(varint(5) for _ in range(100000)))), field(4, "m" * MIB),
                 field(5, b"".join(field(9, field(1, at) + field(2, 1.0)) for at in range(100000))),
                 field(8, field(3, "s" * MIB)), field(9, "r" * MIB)):
        refused(rig, "Generate", plain + body, *every)
    refused(rig, "Tokenize", prompt(messages=[("nobody" * 1000, "x")]), *every)


@attack()
def random_messages(rig):
    """400 mutations of good messages: an answer each, and never one that blames the server."""
    rig.serve(peak=96 * MIB)
    dice = random.Random(3)
    good = [proto.generate(prompt("hello"), 3, sampling=field(1, 0.5), output=field(1, 2)), prompt("hello"),
            proto.score(prompt(ids=[3, 4, 5]), 2), prompt(messages=[("user", "hi")]), proto.detokenize([5, 6, 7])]
    for _ in range(400):
        body = bytearray(dice.choice(good))
        for _ in range(dice.randrange(1, 4)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        method = dice.choice(METHODS[:5])
        with Connection(rig.server.port, patience=5) as connection:
            answer = connection.call(api(method), bytes(body), [("grpc-timeout", "2S")])
        rig.check(answer.status not in ("UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "NOTHING"),
                  f"{method} of {bytes(body)!r}: {answer}")


@attack()
def length_of_everything(rig):
    """Messages cut at each of their bytes."""
    rig.serve(peak=64 * MIB)
    body = proto.generate(prompt(messages=[("user", "hello")]), 3, sampling=field(1, 0.5), output=field(1, 2))
    for size in range(len(body)):
        answer = rig.call(api("Generate"), body[:size])
        rig.check(answer.status in ("OK", "INVALID_ARGUMENT"), f"{body[:size]!r}: {answer}")
