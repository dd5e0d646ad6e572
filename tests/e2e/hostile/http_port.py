"""The HTTP port: clients that ask and do not read, that write slowly, that write nonsense, and many of them."""

import random
import resource
import socket
import time

import watch
from harness import MIB, Skipped, attack

TEN_MODES = "w4a16,w4a16+kv8,w4a8,w4a8+kv8,w8a16,w8a16+kv8,w8a8,w8a8+kv8,bf16,bf16+kv8"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def dial(rig, first=b"", receive_buffer=4096):
    """A connection that has sent `first`, or None where it is refused; it stays until the end."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(2)
    try:
        connection.connect(("127.0.0.1", rig.server.metrics_port))
        connection.sendall(first)
    except OSError:
        connection.close()
        return None
    return rig.stack.enter_context(connection)


def trickle(connections, data, seconds, pause=0.1):
    """One byte of `data` on each connection at a time."""
    end, at = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for connection in connections:
            try:
                connection.sendall(data[at:at + 1])
            except OSError:
                pass
        at += 1
        time.sleep(pause)


def ask(rig, data, seconds=1):
    """What comes back for raw bytes, until the end of the connection or the time."""
    answer, end = b"", time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", rig.server.metrics_port), timeout=seconds) as connection:
        try:
            connection.sendall(data)
            while time.monotonic() < end and (got := connection.recv(65536)):
                answer += got
        except OSError:
            pass
    return answer


@attack()
def metrics_unread(rig):
    """16 clients that ask for /metrics again and again and read nothing, then 200."""
    rig.serve("--modes", TEN_MODES, peak=192 * MIB)
    for count, seconds in ((16, 3), (200, 3)):
        crowd = [connection for _ in range(count) if (connection := dial(rig, METRICS * 4))]
        time.sleep(seconds)
        rig.figures[f"of_{count}"] = len(crowd)
    page = watch.ask_http(rig.server.metrics_port, "/metrics", 5)
    rig.check(b"llm_requests_running" in page, "no metrics for a good client")


@attack()
def metrics_read_slowly(rig):
    """40 clients that read a byte of /metrics now and then."""
    rig.serve("--modes", TEN_MODES, peak=192 * MIB)
    crowd = [connection for _ in range(40) if (connection := dial(rig, METRICS, 1024))]
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for connection in crowd:
            try:
                connection.recv(1)
            except OSError:
                pass
        time.sleep(0.1)


@attack()
def slow_headers(rig):
    """100 clients that send a byte of a request at a time."""
    rig.serve(peak=96 * MIB)
    crowd = [connection for _ in range(100) if (connection := dial(rig, b"GET /healthz HTTP/1.1\r\n"))]
    trickle(crowd, b"X-Slow: " + b"a" * 1000, 3)


@attack()
def slow_bodies(rig):
    """100 clients that announce a body, of some length, of 2^62 bytes or in chunks, and send a byte at a time."""
    rig.serve(peak=96 * MIB)
    heads = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
             b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4611686018427387904\r\n\r\n",
             b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"]
    crowd = [connection for at in range(100) if (connection := dial(rig, heads[at % 3]))]
    trickle(crowd, b"1\r\na\r\n" * 1000, 3)


@attack(short=True)
def idle_http(rig):
    """200 idle connections, and 200 that keep theirs alive after a request."""
    rig.serve(peak=96 * MIB)
    for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        for _ in range(200):
            dial(rig, first)
    time.sleep(1.5)


@attack()
def two_thousand_idle_http(rig):
    """2,000 idle connections of the HTTP port."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < 2200:
        raise Skipped(f"needs 2,200 descriptors, the hard limit is {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rig.serve(peak=128 * MIB)
    end = time.monotonic() + 10
    rig.figures["opened"] = 0
    while rig.figures["opened"] < 2000 and time.monotonic() < end:
        rig.figures["opened"] += dial(rig) is not None
    time.sleep(2)


@attack()
def pipelined_http(rig):
    """10,000 requests written at once on each of 4 connections, unread, and 200 that are read."""
    rig.serve(peak=128 * MIB)
    for _ in range(4):
        dial(rig, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 10000)
        dial(rig, METRICS * 10000)
    time.sleep(1)
    answer = ask(rig, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    rig.figures["answered"] = answer.count(b"HTTP/1.1 200")
    rig.check(answer.startswith(b"HTTP/1.1 200"), f"{answer[:100]!r}")


@attack()
def huge_http_headers(rig):
    """Request lines and headers of 50 MB, 100,000 headers, and targets of 1 MB."""
    rig.serve(peak=96 * MIB)
    for data in (b"GET /" + b"a" * (50 * MIB), b"GET / HTTP/1.1\r\nX: " + b"a" * (50 * MIB),
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100000 + b"\r\n", b"G" * (10 * MIB),
                 b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * MIB,
                 b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"\r\n " * MIB):
        answer = ask(rig, data, 1)
        rig.check(b" 200 " not in answer[:20], f"{data[:30]!r}: {answer[:40]!r}")


def nonsense():
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
    ends = b" HTTP/1.1\r\nHost: x\r\n\r\n"
    return [hello, b"\x00" * 1000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n", b"GET /healthz\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\n\r\n", b"\x1b[31m /metrics" + ends, b"GET /%00%0a%1b" + ends, b"GET /.." + ends,
            b"GET /../../etc/passwd" + ends, b"GET http://127.0.0.1:1/metrics" + ends, b"CONNECT x:1" + ends,
            b"TRACE /" + ends, b"OPTIONS *" + ends, b"DELETE /metrics" + ends, b"HEAD /metrics" + ends,
            b"GET /metrics?" + b"a=b&" * 1000 + ends,
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,1-2,2-3,-1,5-\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-," * 1000 + b"1-\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + b"a" * 99,
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br, zstd;q=nan\r\nConnection: close\r\n\r\n"]


@attack()
def nonsense_on_http(rig):
    """Other protocols, forbidden methods, lengths that lie, ranges, and 300 mutations of a good request."""
    rig.serve(peak=96 * MIB)
    for data in nonsense():
        answer = ask(rig, data, 0.15)
        rig.check(answer == b"" or answer.startswith(b"HTTP/1."), f"{data[:40]!r}: {answer[:60]!r}")
        rig.check(len(answer) < 4 * MIB, f"{data[:40]!r}: {len(answer)} bytes")
        rig.check(b"root:" not in answer, f"{data[:40]!r}: a file of the machine")
    dice = random.Random(5)
    for _ in range(300):
        data = bytearray(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Y: z\r\n\r\n")
        for _ in range(dice.randrange(1, 5)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        ask(rig, bytes(data), 0.01)


@attack()
def http_storm(rig):
    """3,000 connections that ask and leave at once, by a reset or half way."""
    rig.serve(peak=96 * MIB)
    end = time.monotonic() + 5
    for at in range(3000):
        if time.monotonic() > end:
            break
        with socket.socket() as connection:
            connection.settimeout(1)
            if at % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            try:
                connection.connect(("127.0.0.1", rig.server.metrics_port))
                connection.sendall(METRICS[:at % 40])
            except OSError:
                pass
