"""Signals, and standard streams that nobody reads."""

import os
import pathlib
import signal
import socket
import threading
import time

import hpack
import http2
import proto
import watch
from harness import MIB, Failed, Server, attack
from http2 import END_HEADERS, HEADERS, Connection, api, frame

GENERATE = api("GenerateStream")
LONG = proto.generate(proto.prompt("hi"), 60000)


def busy(rig, *flags, clients=4):
    """A server with answers that take longer than anybody waits."""
    rig.serve(*flags, context=65536, peak=256 * MIB)
    connections = [rig.connect(patience=10) for _ in range(clients)]
    for connection in connections:
        connection.start(GENERATE, LONG)
        connection.read_for(0.1)
    return connections


def ended(rig, seconds, statuses=(0,)):
    """Waits for the end, which is the verdict, too."""
    rig.server.ends(0, seconds, "the end")
    rig.check(rig.server.child.returncode in statuses, f"it ended with {rig.server.child.returncode}")
    rig.check_log()
    rig.stop_watching()
    rig.server = None


@attack()
def second_signal(rig):
    """A second SIGTERM, or SIGINT, while answers run ends them at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        busy(rig, "--drain-seconds", "60")
        rig.server.child.send_signal(number)
        time.sleep(0.7)
        rig.check(rig.server.child.poll() is None, "the first signal did not wait for answers")
        began = time.monotonic()
        rig.server.child.send_signal(number)
        ended(rig, 5)
        rig.figures["end_s"] = round(time.monotonic() - began, 2)
        rig.stack.close()


@attack()
def signal_with_stalled_clients(rig):
    """SIGTERM while 20 clients read nothing: it ends soon after the time for drains."""
    rig.serve("--drain-seconds", "1", context=65536, peak=256 * MIB)
    for _ in range(20):
        connection = rig.connect(window=0)
        connection.start(GENERATE, LONG)
    for _ in range(20):
        rig.stack.enter_context(socket.create_connection(("127.0.0.1", rig.server.port)))
        rig.stack.enter_context(socket.create_connection(("127.0.0.1", rig.server.metrics_port)))
    time.sleep(0.5)
    rig.server.child.send_signal(signal.SIGTERM)
    began = time.monotonic()
    ended(rig, 6)
    rig.figures["end_s"] = round(time.monotonic() - began, 2)


@attack()
def signals_in_numbers(rig):
    """SIGHUP, SIGPIPE, SIGUSR1 and SIGCHLD a thousand times, then SIGTERM twenty times at once."""
    busy(rig, "--drain-seconds", "60")
    for _ in range(1000):
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG):
            rig.server.child.send_signal(number)
    time.sleep(0.3)
    rig.check(rig.server.child.poll() is None, f"signals that mean nothing ended it: {rig.server.child.returncode}")
    for _ in range(20):
        rig.server.child.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    ended(rig, 5, (0, 1))  # the third ends it without a drain


@attack()
def signal_while_loading(rig):
    """SIGTERM at many moments of the start: it is gone within a second, whatever it did."""
    slowest = 0
    for delay in (0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8):
        server = Server(rig.binaries, rig.folder, rig.default_model or rig.tiny(), ("--modes", "w4a16,w8a8,bf16"))
        try:
            time.sleep(delay)
            slowest = max(slowest, server.ends(signal.SIGTERM, 3))
            rig.check(server.child.returncode in (0, -signal.SIGTERM), f"{server.child.returncode}: {server.tail()}")
        finally:
            server.child.kill()
            server.child.wait()
    rig.figures["slowest_s"] = round(slowest, 2)
    rig.check(slowest < 1.5, f"{slowest:.1f} s after SIGTERM")


def log_much(port, seconds):
    """Calls that would each make gRPC write a line."""
    block = hpack.block(http2.request_headers(api("Tokenize"), [("te", "z" * 1000)], ["te"]))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with Connection(port, patience=1) as connection:
                connection.send(*(frame(HEADERS, END_HEADERS | http2.END_STREAM, stream, block)
                                  for stream in range(1, 100, 2)))
                connection.read_for(0.05)
        except http2.Closed:
            pass


class Piped:
    """A server that writes into a pipe of ours; `reading` is its other end."""

    def __init__(self, rig):
        self.rig = rig
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.said = b""

    def __enter__(self):
        self.server = Server(self.rig.binaries, self.rig.folder, self.rig.tiny(), ("--kv-bytes", "4MiB"),
                             output=self.writing)
        os.close(self.writing)
        try:
            self.server.wait_ready(text=self.read)
        except BaseException:
            self.__exit__()
            raise
        return self

    def read(self):
        try:
            self.said += os.read(self.reading, 1 << 16)
        except BlockingIOError:
            pass
        return self.said.decode("utf-8", "replace")

    def call(self, patience=3):
        with Connection(self.server.port, patience=patience) as connection:
            return connection.call(api("Generate"), proto.generate(proto.prompt("hi"), 3))

    def __exit__(self, *_):
        self.server.child.kill()
        self.server.child.wait()


@attack(short=True)
def standard_error_unread(rig):
    """Both standard streams are a pipe that nobody reads, and calls that are logged: calls and SIGTERM still work."""
    with Piped(rig) as piped:
        log_much(piped.server.port, 3)
        for _ in range(3):
            try:
                rig.expect(piped.call(), "OK")
                watch.http_health(piped.server.metrics_port, 3)
            except TimeoutError:
                raise Failed("calls hang once the pipe is full") from None
        rig.figures["end_s"] = round(piped.server.ends(signal.SIGTERM, 5), 2)
        rig.check(piped.server.child.returncode == 0, f"it ended with {piped.server.child.returncode}")


@attack(short=True)
def log_reader_that_dies(rig):
    """The reader of the log goes away, while serving and while loading: the server stays."""
    with Piped(rig) as piped:
        os.close(piped.reading)
        log_much(piped.server.port, 0.5)
        rig.expect(piped.call(), "OK")
        piped.server.ends(signal.SIGTERM, 5)
        rig.check(piped.server.child.returncode == 0, f"it ended with {piped.server.child.returncode}")
    port = free_port()
    reading, writing = os.pipe()
    os.close(reading)
    server = Server(rig.binaries, rig.folder, rig.tiny(), ("--kv-bytes", "4MiB"), output=writing, port=port)
    os.close(writing)
    try:
        until_it_listens(port)
        rig.check(server.child.poll() is None, f"it ended with {server.child.returncode} while loading")
        with Connection(port, patience=5) as connection:
            rig.expect(connection.call(http2.HEALTH), "OK")
        server.ends(signal.SIGTERM, 5)
    finally:
        server.child.kill()
        server.child.wait()


def until_it_listens(port):
    """Some seconds at most: whoever calls it asks what is there."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def free_port():
    """Below the range that others' connections are given."""
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no port is free")


@attack()
def full_disk_for_the_log(rig):
    """The log is /dev/full: every write fails, every call works."""
    port = free_port()
    with open("/dev/full", "wb") as full:
        server = Server(rig.binaries, rig.folder, rig.tiny(), ("--kv-bytes", "4MiB"), output=full.fileno(),
                        port=port)
    try:
        until_it_listens(port)
        with Connection(port, patience=5) as connection:
            rig.expect(connection.call(api("Generate"), proto.generate(proto.prompt("hi"), 3)), "OK")
        server.ends(signal.SIGTERM, 5)
        rig.check(server.child.returncode == 0, f"it ended with {server.child.returncode}")
    finally:
        server.child.kill()
        server.child.wait()


@attack()
def stopped_server(rig):
    """SIGSTOP for two seconds, then SIGCONT: what waited is answered, in order."""
    rig.serve(peak=96 * MIB, health_may_fail=True)
    connection = rig.connect(patience=10)
    streams = [connection.start(api("Generate"), proto.generate(proto.prompt("hi"), 50)) for _ in range(10)]
    rig.server.child.send_signal(signal.SIGSTOP)
    resumed = threading.Timer(2, lambda: rig.server.child.send_signal(signal.SIGCONT))
    resumed.start()
    for stream in streams:
        rig.expect(connection.finish(stream), "OK")
    resumed.join()
    rig.check(pathlib.Path(f"/proc/{rig.server.child.pid}").exists(), "it is gone")
