"""Frames of HTTP/2 in numbers, shapes and orders that no client of good will sends."""

import random
import socket
import struct
import time

import hpack
import http2
import proto
from harness import MIB, attack
from http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, SETTINGS, Connection, api, frame

GENERATE = api("GenerateStream")


def flood(rig, connection, blocks, seconds, most=300 * MIB):
    """Sends what `blocks` yields until the server ends it, or the time or the bytes are up."""
    sent, end = 0, time.monotonic() + seconds
    try:
        for block in blocks:
            if time.monotonic() > end or sent > most:
                break
            connection.send(block)
            sent += len(block)
    except http2.Closed:
        rig.figures["cut"] = True
    rig.figures["sent_mb"] = round(rig.figures.get("sent_mb", 0) + sent / 1e6, 1)


def opened(connection):
    """The beginning of a call's headers, to be continued."""
    return hpack.block(http2.request_headers(GENERATE))


def continuations(stream, payload):
    while True:
        yield frame(CONTINUATION, 0, stream, payload) * 16


@attack(short=True)
def header_claimed_long(rig):
    """A header's value claimed as 1 GiB, in CONTINUATION frames."""
    rig.serve(peak=96 * MIB)
    connection = rig.connect(patience=3)
    start = opened(connection) + b"\x00" + hpack.string("x-long") + hpack.string(b"", claimed=1 << 30)
    connection.send(frame(HEADERS, 0, 1, start))
    flood(rig, connection, continuations(1, b"a" * 16384), 6, 70 * MIB)
    rig.check("cut" in rig.figures, "the connection was never ended")


@attack(short=True)
def headers_without_end(rig):
    """Small headers in CONTINUATION frames, and never END_HEADERS."""
    rig.serve(peak=96 * MIB)
    for kept in (False, True):
        connection = rig.connect(patience=3)
        connection.send(frame(HEADERS, 0, 1, opened(connection)))
        header = hpack.literal("x-a", "b", kept)
        flood(rig, connection, continuations(1, header * (16384 // len(header))), 4, 150 * MIB)
    rig.check("cut" in rig.figures, "the connections were never ended")


@attack()
def empty_continuations(rig):
    """CONTINUATION frames without a byte, for as long as they are taken."""
    rig.serve(peak=96 * MIB)
    connection = rig.connect(patience=3)
    connection.send(frame(HEADERS, 0, 1, opened(connection)))
    flood(rig, connection, continuations(1, b""), 3)


@attack(short=True)
def dynamic_table_bomb(rig):
    """A header of 4,000 bytes is named once, then called for by one byte 16,000 times in each of 50 calls."""
    rig.serve(peak=128 * MIB)
    connection = rig.connect(patience=3)
    first = opened(connection) + hpack.literal("x-bomb", "y" * 3900, kept=True)
    connection.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, first))
    again = opened(connection) + b"\xbe" * 16000
    flood(rig, connection, (frame(HEADERS, END_HEADERS | END_STREAM, stream, again) for stream in range(3, 103, 2)), 8)
    connection.read_for(0.5)


@attack()
def table_sizes(rig):
    """Updates of the table's size inside every block, and a client that asks for a table of 4 GiB."""
    rig.serve(peak=96 * MIB)
    connection = rig.connect(patience=3, own_settings={http2.HEADER_TABLE_SIZE: 0xffffffff})
    for stream in range(1, 2001, 2):
        sizes = hpack.integer(0, 5, 0x20) + hpack.integer(4096, 5, 0x20)
        try:
            connection.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, sizes + opened(connection)))
        except http2.Closed:
            break
    connection.read_for(0.5)
    with Connection(rig.server.port) as other:
        try:
            other.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, hpack.integer(1 << 30, 5, 0x20) + opened(other)))
            other.read_for(0.5)
        except http2.Closed:
            pass


@attack(short=True)
def streams_without_data(rig):
    """100,000 streams that send headers and nothing else, by a client that does not acknowledge SETTINGS."""
    rig.serve(peak=256 * MIB)
    connection = rig.connect(patience=3, acknowledge=False)
    block = opened(connection)
    flood(rig, connection, (b"".join(frame(HEADERS, END_HEADERS, stream, block) for stream in range(at, at + 400, 2))
                            for at in range(1, 200000, 400)), 8)
    time.sleep(0.5)


@attack()
def rapid_reset(rig):
    """30,000 calls, each reset as soon as it is made."""
    rig.serve(peak=256 * MIB)
    connection = rig.connect(patience=3)
    block = opened(connection)
    call = http2.message(proto.generate(proto.prompt("hi"), 400))

    def calls():
        for stream in range(1, 60000, 2):
            yield (frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, call) +
                   http2.reset(stream))
            if stream % 512 == 1:
                connection.read_for(0.001)
    flood(rig, connection, calls(), 8)


def repeated(data):
    while True:
        yield data


@attack()
def control_floods(rig):
    """SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM and unknown frames, as fast as they are taken, unread."""
    rig.serve(peak=256 * MIB)
    floods = {
        "settings": http2.settings({http2.INITIAL_WINDOW_SIZE: 65535}), "empty settings": frame(SETTINGS),
        "ping": frame(PING, 0, 0, b"12345678"), "priority": frame(PRIORITY, 0, 1, bytes(5)),
        "window": http2.window_update(0, 1), "reset": http2.reset(1), "unknown": frame(200, 0, 0, b"x" * 50),
        "idle data": frame(DATA, 0, 1, b"")}
    for data in floods.values():
        flood(rig, rig.connect(patience=1, receive_buffer=4096), repeated(data * 200), 0.8, 40 * MIB)


@attack()
def empty_data(rig):
    """Empty DATA frames on an open call."""
    rig.serve(peak=96 * MIB)
    connection = rig.connect(patience=3)
    stream = connection.open(GENERATE)
    flood(rig, connection, repeated(frame(DATA, 0, stream) * 500), 3)
    with Connection(rig.server.port) as other:
        stream = other.open(api("Tokenize"))
        other.send(*[frame(DATA, 0, stream)] * 100)
        other.send_data(stream, http2.message(proto.prompt("hello")))
        rig.expect(other.finish(stream, 5), "OK")


@attack()
def one_byte_frames(rig):
    """A message of 20,000 bytes in DATA frames of one byte each."""
    rig.serve(peak=96 * MIB)
    with Connection(rig.server.port) as connection:
        stream = connection.open(api("Tokenize"))
        body = http2.message(proto.prompt("x" * 20000))
        connection.send(*[frame(DATA, END_STREAM if at + 1 == len(body) else 0, stream, body[at:at + 1])
                          for at in range(len(body))])
        rig.expect(connection.finish(stream, 10), "OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


@attack()
def answers_without_window(rig):
    """60 streamed answers for a client whose windows are zero."""
    rig.serve("--stall-seconds", "2", peak=256 * MIB)
    for _ in range(4):
        connection = rig.connect(patience=5, window=0)
        for _ in range(15):
            connection.start(GENERATE, proto.generate(proto.prompt("hi"), 400))
    time.sleep(4.5)
    rig.check(rig.server.metric("llm_requests_running") == 0, "stalled answers still run")


@attack(short=True)
def window_overflow(rig):
    """Windows above 2^31 - 1, of the connection, of a stream and by SETTINGS; increments of zero."""
    rig.serve(peak=64 * MIB)
    most = http2.MOST_WINDOW
    for data in (http2.window_update(0, most) * 3, http2.window_update(1, most) * 3, http2.window_update(1, 0),
                 http2.window_update(0, 0), http2.settings({http2.INITIAL_WINDOW_SIZE: 1 << 31}),
                 http2.settings({http2.INITIAL_WINDOW_SIZE: most}) + http2.window_update(1, most),
                 http2.settings({http2.INITIAL_WINDOW_SIZE: 0}) * 3,
                 (http2.settings({http2.INITIAL_WINDOW_SIZE: 1}) +
                  http2.settings({http2.INITIAL_WINDOW_SIZE: most}) * 9)):
        with Connection(rig.server.port, window=65535) as connection:
            try:
                connection.start(GENERATE, proto.generate(proto.prompt("hi"), 50))
                connection.send(data)
                connection.read_for(0.15)
            except http2.Closed:
                pass


def malformed():
    """Frames that break a rule each."""
    block = hpack.block(http2.request_headers(GENERATE))
    priority = struct.pack(">IB", 3, 200)
    return [
        frame(DATA, 0, 0, b"x"), frame(HEADERS, END_HEADERS, 0, block), frame(HEADERS, END_HEADERS, 2, block),
        frame(HEADERS, END_HEADERS, 5, block) + frame(HEADERS, END_HEADERS, 3, block),
        frame(HEADERS, END_HEADERS, 0x7fffffff, block) + frame(HEADERS, END_HEADERS, 1, block),
        frame(HEADERS, END_HEADERS | 8, 3, b"\xff" + block), frame(HEADERS, END_HEADERS | 32, 3, priority + block),
        frame(HEADERS, END_HEADERS | 32, 3, b"\x00"), frame(DATA, 8, 1, b"\xff"), frame(CONTINUATION, 4, 1, block),
        frame(SETTINGS, 0, 1), frame(SETTINGS, 1, 0, bytes(6)), frame(SETTINGS, 0, 0, bytes(5)),
        frame(PING, 0, 0, b"x"), frame(PING, 0, 3, bytes(8)), frame(http2.RST_STREAM, 0, 0, bytes(4)),
        frame(http2.RST_STREAM, 0, 9, bytes(4)), frame(http2.PUSH_PROMISE, 4, 1, bytes(4) + block),
        frame(http2.GOAWAY, 0, 0, b""), frame(http2.GOAWAY, 0, 5, bytes(8)), frame(DATA, 0, 1, b"", claimed=0xffffff),
        frame(HEADERS, 0, 3, block) + frame(PING, 0, 0, bytes(8)), frame(HEADERS, END_HEADERS, 3, b"\x80"),
        frame(HEADERS, END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff\xff\xff"), frame(HEADERS, END_HEADERS, 3, b""),
        frame(HEADERS, END_HEADERS, 3, b"\x00\x85\xff\xff\xff\xff\xff\x01x"), frame(WINDOW, 0, 0, b"x"),
        http2.settings({http2.MAX_FRAME_SIZE: 1}), http2.settings({http2.MAX_FRAME_SIZE: 1 << 24}),
        http2.settings({http2.ENABLE_PUSH: 7}), http2.settings({http2.MAX_CONCURRENT_STREAMS: 0}),
        b"".join(http2.settings({key: 0xffffffff}) for key in range(7, 100))]


WINDOW = http2.WINDOW_UPDATE


@attack(short=True)
def malformed_frames(rig):
    """Each of some thirty frames that HTTP/2 forbids, beside a call that runs; then 150 connections of random ones."""
    rig.serve(peak=96 * MIB)
    for data in malformed():
        with Connection(rig.server.port, patience=2) as connection:
            try:
                connection.start(GENERATE, proto.generate(proto.prompt("hi"), 20))
                connection.send(data)
                connection.read_for(0.03)
            except http2.Closed:
                pass
    dice = random.Random(1)
    for _ in range(150):
        noise = b"".join(frame(dice.randrange(11), dice.randrange(256), dice.randrange(6),
                               dice.randbytes(dice.randrange(60))) for _ in range(20))
        with socket.create_connection(("127.0.0.1", rig.server.port)) as connection:
            try:
                connection.sendall(http2.PREFACE + http2.settings({}) + noise)
            except OSError:
                pass
