"""Calls that never reach the model: encoding, decoding, rendering, and how much of them there may be at once."""

import time

import http2
import proto
from harness import MIB, Failed, attack
from http2 import Connection, api, message
from proto import field, prompt

TOKENIZE, DETOKENIZE = api("Tokenize"), api("Detokenize")
MOST = 4 * MIB - 64  # of a request
REFUSED = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")


def texts():
    """What is slow or large to encode, each as long as a request may be."""
    return {"digits": b"0123456789" * (MOST // 10), "letters": b"a" * MOST, "spaces": b" " * MOST,
            "marks": "\u0301".encode() * (MOST // 2), "words": b"the quick brown fox " * (MOST // 20),
            "specials": b"<|im_start|>" * (MOST // 12), "faces": "\U0001f600".encode() * (MOST // 4),
            "nearly special": b"<|im_star" * (MOST // 9), "newlines": b"\n" * MOST, "mixed": b"a1 \n" * (MOST // 4)}


@attack()
def tokenize_at_length(rig):
    """4 MiB of one kind of text after another to Tokenize, Generate and Score: an answer or a limit, soon."""
    rig.serve(model=rig.real(), peak=256 * MIB)
    slowest = 0
    for name, text in texts().items():
        for path in (TOKENIZE, api("Generate"), api("Score")):
            began = time.monotonic()
            answer = rig.call(path, field(2, text), patience=20)
            slowest = max(slowest, time.monotonic() - began)
            rig.check(answer.status in ("OK", *REFUSED), f"{name} to {path}: {answer}")
            rig.check(sum(map(len, answer.messages())) <= 4 * MIB, f"{name}: an answer of {len(answer.body)} bytes")
    rig.figures["slowest_s"] = round(slowest, 2)


@attack()
def two_long_texts_at_a_time(rig):
    """Two clients with 4 MiB of letters each to Score, eight times, while health has to answer."""
    rig.serve(model=rig.real(), peak=256 * MIB)
    body = message(field(2, b"a1 b2 \n" * (MOST // 7)))
    connections = [rig.connect(patience=8) for _ in range(2)]
    end = time.monotonic() + 5
    for _ in range(4):
        for connection in connections:
            if time.monotonic() < end:
                connection.send_data(connection.open(TOKENIZE), body)
    for connection in connections:
        connection.read_for(1)


@attack()
def unread_token_lists(rig):
    """40 Tokenize calls whose answers nobody reads."""
    rig.serve("--stall-seconds", "2", peak=400 * MIB, context=65536)
    body, end = message(field(2, b"0123456789" * (400 * 1024 // 10))), time.monotonic() + 8
    for _ in range(4):
        connection = rig.connect(patience=2, window=0)
        try:
            for _ in range(10):
                if time.monotonic() < end:
                    connection.send_data(connection.open(TOKENIZE), body)
        except (http2.Closed, TimeoutError):
            pass
    time.sleep(1)


@attack()
def unread_answers_keep_nothing(rig):
    """The same, and the connections stay: after the time for stalls their memory is back."""
    rig.serve("--stall-seconds", "1", peak=400 * MIB, context=65536)
    body = message(field(2, b"0123456789" * 6000))
    for _ in range(8):
        connection = rig.connect(patience=2, window=0)
        try:
            for _ in range(20):
                connection.send_data(connection.open(TOKENIZE), body)
        except (http2.Closed, TimeoutError):
            pass
    time.sleep(3.5)
    over = rig.server.anonymous_bytes() - rig.idle
    rig.check(over <= 64 * MIB, f"{over / 1e6:.0f} MB are still held for answers that nobody reads")


@attack()
def detokenize_at_length(rig):
    """4 MiB of ids, the same, those with the longest pieces, and broken UTF-8 throughout."""
    rig.serve(peak=256 * MIB)
    for ids in (b"\x05", b"\x03\x82\x01", b"\x82\x02", bytes(range(3, 128))):
        body = ids * ((MOST - 32) // len(ids))
        answer = rig.call(DETOKENIZE, field(1, body), patience=10)
        rig.check(answer.status in ("OK", *REFUSED), f"{answer}")
        rig.check(len(answer.body) <= 4 * MIB + 5, f"an answer of {len(answer.body)} bytes")


@attack()
def unread_texts(rig):
    """30 Detokenize calls of 4 MiB whose answers nobody reads."""
    rig.serve("--stall-seconds", "2", peak=400 * MIB)
    body, end = message(field(1, b"\x82\x02" * (MOST // 2 - 16))), time.monotonic() + 6
    for _ in range(3):
        connection = rig.connect(patience=2, window=0)
        try:
            for _ in range(10):
                if time.monotonic() < end:
                    connection.send_data(connection.open(DETOKENIZE), body)
        except (http2.Closed, TimeoutError):
            pass
    time.sleep(1)


@attack(short=True)
def chat_of_empty_messages(rig):
    """466,026 empty messages of a chat, to Tokenize, Generate and Score; and 400,000 with a role."""
    rig.serve(peak=256 * MIB)
    empty, named = field(1, b"") , field(1, field(1, "user"))
    for chat in (empty * 466026, field(1, b"\x12\x00" * 3) * 466026, named * 400000):
        for path in (TOKENIZE, api("Generate"), api("Score")):
            answer = rig.call(path, field(1, chat), patience=10)
            rig.check(answer.status in REFUSED, f"{path}: {answer}")


@attack()
def cancelled_encodings(rig):
    """30 long texts, each cancelled 20 ms later: no processor time is used for them afterwards."""
    rig.serve(model=rig.real(), peak=256 * MIB)
    body = message(field(2, b"a1 b2 \n" * (MOST // 7)))
    end = time.monotonic() + 5
    connection = rig.connect(patience=5)
    for _ in range(30):
        if time.monotonic() > end:
            break
        stream = connection.open(TOKENIZE)
        connection.send_data(stream, body)
        time.sleep(0.02)
        connection.send(http2.reset(stream))
    time.sleep(0.3)
    before = rig.server.cpu_seconds()
    time.sleep(1)
    used = rig.server.cpu_seconds() - before
    rig.figures["after_cancel_s"] = round(used, 2)
    rig.check(used < 0.4, f"{used:.1f} s of processor time in the second after all were cancelled")


@attack()
def encodings_past_their_deadline(rig):
    """20 long texts with a deadline of 50 ms at once."""
    rig.serve(model=rig.real(), peak=256 * MIB)
    body = message(field(2, b"a1 b2 \n" * (MOST // 7)))
    connections = [rig.connect(patience=5) for _ in range(5)]
    for connection in connections:
        for _ in range(4):
            connection.send_data(connection.open(api("Score"), [("grpc-timeout", "50m")]), body)
    time.sleep(0.5)
    before = rig.server.cpu_seconds()
    time.sleep(1)
    used = rig.server.cpu_seconds() - before
    rig.check(used < 0.4, f"{used:.1f} s of processor time in the second after all deadlines")


@attack()
def many_small_calls(rig):
    """5,000 small calls of every kind, 250 at once on one connection."""
    rig.serve(peak=256 * MIB)
    connection = rig.connect(patience=8)
    bodies = [(TOKENIZE, prompt("hello")), (DETOKENIZE, proto.detokenize([5, 6])), (api("GetServerInfo"), b""),
              (api("GetMemory"), b""), (http2.HEALTH, b"")]
    refused, end = 0, time.monotonic() + 6
    for at in range(20):
        streams = [connection.start(*bodies[(at + number) % 5]) for number in range(90)]
        for stream in streams:
            answer = connection.finish(stream)
            refused += answer.status == "RESOURCE_EXHAUSTED"
            if answer.status not in ("OK", "RESOURCE_EXHAUSTED"):
                raise Failed(f"a small call got {answer}")
        if time.monotonic() > end:
            break
    rig.figures["refused"] = refused


@attack()
def streams_past_the_limit(rig):
    """400 calls at once on one connection by a client that ignores what the server allows."""
    rig.serve(peak=256 * MIB)
    with Connection(rig.server.port, patience=5) as connection:
        try:
            streams = [connection.start(api("Generate"), proto.generate(prompt("hi"), 3)) for _ in range(400)]
            ended = [connection.finish(stream).status for stream in streams]
            rig.figures["ok"] = ended.count("OK")
        except http2.Closed as closed:
            rig.figures["closed"] = str(closed)[:60].replace(" ", "_")
