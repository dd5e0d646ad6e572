"""Headers that are no headers: what the log, the status and the request make of them."""

import time

import hpack
import http2
import proto
from harness import MIB, Failed, attack
from http2 import END_HEADERS, HEADERS, Connection, api, frame

CONTROL = "x\n12:00:00 error forged\r\x1b[31m\x00\x7f\xff"


def call_with(rig, extra=(), without=(), path=api("Tokenize"), body=proto.prompt("hello")):
    """The answer, or None where the server ended the connection or said nothing for a second."""
    try:
        with Connection(rig.server.port, patience=1) as connection:
            stream = connection.open(path, extra, without)
            connection.send_data(stream, http2.message(body))
            return connection.finish(stream)
    except (http2.Closed, TimeoutError):
        return None


@attack(short=True)
def metadata_with_control_characters(rig):
    """Newlines, escapes and broken UTF-8 in every header that a server looks at: nothing of it is in the log."""
    rig.serve(peak=64 * MIB)
    for name in ("te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "user-agent", ":scheme",
                 ":method", ":status", ":authority", "x-anything", "x-bin", "grpc-trace-bin", "grpc-status", "host",
                 "grpc-previous-rpc-attempts", "grpc-internal-encoding-request", "lb-token", "x\x1b[31m\nname"):
        call_with(rig, [(name, CONTROL)], without=[name])
        call_with(rig, [(name, "\x1b]0;" + "y" * 3000)], without=[name])
    call_with(rig, path=api("Tokenize\n12:00:00 info forged\x1b[2J"))
    call_with(rig, path="\x1b[31m" * 100)


@attack()
def log_flood(rig):
    """4 s of calls that each make gRPC log a line of 1,000 characters: 100 KiB of log are enough."""
    rig.serve(peak=96 * MIB, log_bytes=100 << 10)
    block = hpack.block(http2.request_headers(api("Tokenize"), [("te", "\x1b" + "z" * 1000)], ["te"]))
    end, made = time.monotonic() + 4, 0
    while time.monotonic() < end:
        with Connection(rig.server.port, patience=1) as connection:
            try:
                for stream in range(1, 4000, 2):
                    connection.send(frame(HEADERS, END_HEADERS | http2.END_STREAM, stream, block))
                    made += 1
                    if stream % 64 == 1:
                        connection.read_for(0.001)
            except http2.Closed:
                pass
    rig.figures["calls"] = made


@attack()
def headers_missing_or_twice(rig):
    """Calls without one of the headers that belong there, with one twice, with the wrong method or path."""
    rig.serve(peak=64 * MIB)
    for name in (":method", ":scheme", ":path", ":authority", "te", "content-type"):
        answer = call_with(rig, without=[name])
        rig.check(answer is None or answer.status != "OK" or name in (":authority", "te", "content-type", ":scheme"),
                  f"without {name}: {answer}")
        call_with(rig, [(name, "x")])
        call_with(rig, [(name, "")], without=[name])
    for method in ("GET", "PUT", "CONNECT", "PRI", ""):
        answer = call_with(rig, [(":method", method)], without=[":method"])
        rig.check(answer is None or answer.status != "OK" or method in ("GET", "PUT"), f"{method}: {answer}")
    for path in ("", "/", "x", "//", "/a/b/c", "*", "/halftone.v1.Inference/", "/halftone.v1.Inference/Nothing",
                 "/" + "a" * 7000, "/%00", "/../../etc/passwd"):
        answer = call_with(rig, path=path)
        rig.check(answer is None or answer.status != "OK", f"{path[:50]}: {answer}")


@attack()
def metadata_too_long(rig):
    """One header of 1 MB, 5,000 small ones, 100 KB of names."""
    rig.serve(peak=64 * MIB)
    for extra in ([("x-long", "y" * (1 << 20))], [(f"x-{at}", "y") for at in range(5000)], [("n" * 100000, "y")],
                  [("x-bin", "A" * 20000)]):
        block = hpack.block(http2.request_headers(api("Tokenize"), extra))
        with Connection(rig.server.port, patience=2) as connection:
            pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
            try:
                for at, piece in enumerate(pieces):
                    kind = HEADERS if at == 0 else http2.CONTINUATION
                    connection.send(frame(kind, END_HEADERS if at + 1 == len(pieces) else 0, 1, piece))
                connection.answers[1], connection.stream_windows[1] = http2.Answer(), 65535
                connection.send_data(1, http2.message(proto.prompt("hello")))
                answer = connection.finish(1)
                rig.check(answer.status != "OK", f"{len(block)} bytes of headers: {answer}")
            except (http2.Closed, TimeoutError):
                pass


@attack(short=True)
def deadlines(rig):
    """Every grpc-timeout from a nanosecond to 99999999 hours, and those that are none."""
    rig.serve(peak=64 * MIB)
    for text in ("3000000H", "99999999H", "99999999M", "99999999S", "2562047H", "2562048H", "87600H", "1000M"):
        answer = call_with(rig, [("grpc-timeout", text)])
        rig.check(answer is not None and answer.status == "OK", f"grpc-timeout: {text} got {answer}")
        answer = call_with(rig, [("grpc-timeout", text)], path=api("Generate"),
                           body=proto.generate(proto.prompt("hi"), 3))
        rig.check(answer is not None and answer.status == "OK", f"Generate, grpc-timeout: {text} got {answer}")
    for text in ("1n", "1u", "0S", "1m"):
        answer = call_with(rig, [("grpc-timeout", text)], path=api("Generate"),
                           body=proto.generate(proto.prompt("hi"), 400))
        rig.check(answer is None or answer.status in ("DEADLINE_EXCEEDED", "CANCELLED", "RESET"),
                  f"grpc-timeout: {text} got {answer}")
    for text in ("", "H", "-1S", "1e9S", "18446744073709551616H", "999999999999S", "5", "5X", " 5S", "0x5S", "٣S"):
        answer = call_with(rig, [("grpc-timeout", text.encode())])
        if answer is not None and answer.status == "NOTHING":
            raise Failed(f"grpc-timeout: {text!r} got nothing")


@attack()
def request_ids(rig):
    """request_id with control characters, too long, and not UTF-8."""
    rig.serve(peak=64 * MIB)
    for data in (CONTROL.encode("latin-1"), "é".encode(), b"x" * 100000, b"\n", b"\xff", "\u202e".encode()):
        body = proto.generate(proto.prompt("hi"), 3) + proto.field(9, data)
        answer = call_with(rig, path=api("Generate"), body=body)
        rig.check(answer is not None and answer.status == "INVALID_ARGUMENT", f"{data[:20]!r}: {answer}")
