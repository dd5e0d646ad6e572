"""What stands in front of every call: compression, envelopes of messages, the first bytes of a connection."""

import random
import socket
import struct
import threading
import time
import zlib

import http2
import proto
from harness import MIB, Failed, attack
from http2 import Connection, api

GIGABYTES = 4


def bomb(wbits):
    """A stream of 4 MB that is 4 GiB of zeros unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = packer.compress(bytes(16 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(16 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + more * (GIGABYTES * 64 - 1)


def send_compressed(rig, encoding, data, flag=1):
    with Connection(rig.server.port) as connection:
        stream = connection.open(api("Tokenize"), [("grpc-encoding", encoding)] if encoding else [])
        connection.send_data(stream, http2.message(data, flag))
        return connection.finish(stream, 20)


@attack(short=True)
def gzip_bomb(rig):
    """One message of 4 MB that gzip makes 4 GiB, and one of deflate."""
    rig.serve(peak=64 * MIB)
    for encoding, wbits in (("gzip", 31), ("deflate", 15)):
        rig.expect(send_compressed(rig, encoding, bomb(wbits)[:4 * MIB - 64]), "UNIMPLEMENTED", "RESOURCE_EXHAUSTED")


@attack()
def compression_mislabelled(rig):
    """The compressed flag without an encoding, with identity, with one that nobody knows, with plain bytes."""
    rig.serve(peak=64 * MIB)
    small = zlib.compress(proto.prompt("x" * 100))
    for encoding, data, flag in ((None, small, 1), ("identity", small, 1), ("nonsense", small, 1), ("gzip", b"", 1),
                                 ("gzip", b"plain", 1), ("deflate", small[:-8], 1), ("gzip", small, 0),
                                 ("identity", small, 255), ("gzip\x01", small, 2)):
        answer = send_compressed(rig, encoding, data, flag)
        rig.check(answer.status not in ("OK", "NOTHING"), f"{encoding} with flag {flag}: {answer}")


@attack(short=True)
def messages_too_long(rig):
    """Messages above the limit, lengths that claim 4 GiB, lengths that lie, no message."""
    rig.serve(peak=128 * MIB)
    rig.expect(rig.call(api("Tokenize"), proto.prompt("x" * (5 * MIB))), "RESOURCE_EXHAUSTED")
    for claimed in (0xffffffff, 1 << 31, 5 * MIB):
        with Connection(rig.server.port) as connection:
            stream = connection.open(api("Tokenize"))
            connection.send_data(stream, http2.message(b"x" * 100, claimed=claimed))
            answer = connection.finish(stream, 5)
            rig.check(answer.status not in ("OK", "NOTHING"), f"a message that claims {claimed} bytes: {answer}")
    hello = http2.message(proto.prompt("hello"))
    for body in (hello[:-2], hello[:3], http2.message(b"x" * 10, claimed=100), hello[:5], b""):
        with Connection(rig.server.port) as connection:
            stream = connection.open(api("Tokenize"))
            connection.send_data(stream, body)
            answer = connection.finish(stream, 5)
            rig.check(answer.status not in ("OK", "NOTHING"), f"{body!r}: {answer}")


@attack()
def message_that_goes_on(rig):
    """A message that claims 4 GiB, and 600 MB of it."""
    rig.serve(peak=96 * MIB)
    connection = rig.connect(patience=3)
    stream = connection.open(api("Tokenize"))
    connection.send_data(stream, http2.message(b"", claimed=0xffffffff), end=False)
    sent, block, end = 0, bytes(MIB), time.monotonic() + 8
    try:
        while sent < 600 * MIB and time.monotonic() < end and not connection.answers[stream].ended:
            connection.send_data(stream, block, end=False)
            sent += MIB
    except (http2.Closed, TimeoutError):
        pass
    rig.figures["sent_mb"] = sent >> 20


@attack()
def messages_held_back(rig):
    """200 messages of 4 MiB, each without its last byte, on 8 connections."""
    rig.serve(peak=320 * MIB)
    body = http2.message(proto.prompt("x" * (4 * MIB - 64)))[:-1]
    deadline = time.monotonic() + 10

    def hold(connection):
        try:
            for _ in range(25):
                if time.monotonic() < deadline:
                    connection.send_data(connection.open(api("Tokenize")), body, end=False)
        except (http2.Closed, TimeoutError, OSError):
            pass
    threads = [threading.Thread(target=hold, args=(rig.connect(patience=3),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def garbage():
    """What other protocols and broken clients send first."""
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
    return [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /halftone.v1.Inference/Generate HTTP/1.1\r\n\r\n" * 100, hello,
            b"\x00" * 5000, b"\xff" * 5000, random.Random(1).randbytes(5000), http2.PREFACE[:10], http2.PREFACE * 3,
            http2.PREFACE + b"\xff" * 9, http2.PREFACE + http2.frame(http2.DATA, 0, 1, b"x" * 100),
            http2.PREFACE + http2.frame(http2.GOAWAY, 0, 0, struct.pack(">II", 0, 0) + b"\n\x1b[31mforged\n"),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + http2.PREFACE, b"*1\r\n$4\r\nPING\r\n", b"\r\n" * 1000,
            b"\x1b[2J\n" * 50]


@attack(short=True)
def garbage_prefaces(rig):
    """First bytes that are not HTTP/2's, whole, in single bytes, and 60 connections that send half of a preface."""
    rig.serve(peak=64 * MIB)
    for data in garbage():
        with socket.create_connection(("127.0.0.1", rig.server.port), timeout=0.2) as connection:
            try:
                connection.sendall(data)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    for _ in range(60):
        half = rig.stack.enter_context(socket.create_connection(("127.0.0.1", rig.server.port)))
        half.sendall(http2.PREFACE[:12])
    with socket.create_connection(("127.0.0.1", rig.server.port)) as slow:
        try:
            for byte in http2.PREFACE + http2.settings({}):
                slow.sendall(bytes([byte]))
                time.sleep(0.005)
        except OSError as error:
            raise Failed(f"a slow preface is a preface: {error}") from None


def reset_at_once(port):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.connect(("127.0.0.1", port))


@attack()
def connections_reset(rig):
    """2,000 connections that end in a reset before they say anything."""
    rig.serve(peak=64 * MIB)
    for _ in range(2000):
        reset_at_once(rig.server.port)
