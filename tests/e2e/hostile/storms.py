"""Clients in numbers that leave, stop, die and ask for the impossible, all at once."""

import os
import random
import signal
import subprocess
import time

import http2
import proto
from harness import MIB, attack, wait_until
from http2 import Connection, api

GENERATE = api("GenerateStream")


def idle(rig):
    wait_until(lambda: rig.server.metric("llm_requests_running") + rig.server.metric("llm_requests_waiting") == 0, 5,
               "nothing runs or waits")


@attack()
def disconnects(rig):
    """300 clients that leave in the middle of an answer, by a close, a reset and RST_STREAM."""
    rig.serve(context=4096, peak=256 * MIB)
    end = time.monotonic() + 6
    for at in range(300):
        if time.monotonic() > end:
            break
        connection = Connection(rig.server.port)
        stream = connection.start(GENERATE, proto.generate(proto.prompt("hi"), 3000))
        if at % 3 == 0:
            connection.read_for(0.01)
        if at % 3 == 1:
            connection.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: a reset
        if at % 3 == 2:
            connection.send(http2.reset(stream))
        connection.close()
    idle(rig)


@attack(short=True)
def impossible_deadlines(rig):
    """600 calls with a deadline of 1 ms, on 10 connections."""
    rig.serve(context=4096, peak=256 * MIB)
    connections = [rig.connect(patience=10) for _ in range(10)]
    statuses = set()
    for connection in connections:
        streams = []
        for _ in range(60):
            stream = connection.open(api("Generate"), [("grpc-timeout", "1m")])
            connection.send_data(stream, http2.message(proto.generate(proto.prompt("hi"), 3000)))
            streams.append(stream)
        statuses |= {connection.finish(stream).status for stream in streams}
    rig.check(statuses <= {"DEADLINE_EXCEEDED", "CANCELLED", "RESET"}, f"statuses: {statuses}")
    idle(rig)


@attack()
def stopped_and_killed_clients(rig):
    """10 clients of ours that are stopped in the middle of an answer and later killed, and 10 that are killed."""
    rig.serve(context=65536, peak=384 * MIB)
    clients = [subprocess.Popen([rig.binaries / "halftone", "--server", f"127.0.0.1:{rig.server.port}", "generate", "x",
                                 "--max-tokens", "60000", "--ignore-eos"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(20)]
    try:
        wait_until(lambda: rig.server.metric("llm_requests_running") + rig.server.metric("llm_requests_waiting") >= 20,
                   10, "20 clients")
        for at, client in enumerate(clients):
            client.send_signal(signal.SIGSTOP if at % 2 else signal.SIGKILL)
        wait_until(lambda: rig.server.metric("llm_requests_running") <= 10, 5, "the killed are gone")
        time.sleep(1.5)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    idle(rig)


@attack()
def every_kind_at_once(rig):
    """5 s of everything on 30 connections: calls of all kinds, cancels, deadlines, nonsense, silence."""
    rig.serve(context=4096, peak=384 * MIB)
    dice, end = random.Random(11), time.monotonic() + 5
    connections, calls = [], 0
    bodies = [(GENERATE, proto.generate(proto.prompt("hi"), 500)), (api("Generate"), proto.generate(
        proto.prompt("x" * 3000), 20)), (api("Tokenize"), proto.prompt("words and " * 2000)),
              (api("Score"), proto.score(proto.prompt(ids=list(range(3, 250))), 5)), (api("GetServerInfo"), b""),
              (api("Generate"), b"\xff\xff"), (api("Nothing"), b""), (http2.HEALTH, b"")]
    while time.monotonic() < end:
        if len(connections) < 30:
            window = dice.choice([0, 1000, http2.MOST_WINDOW])
            connections.append(Connection(rig.server.port, patience=2, window=window))
        connection = dice.choice(connections)
        try:
            path, body = dice.choice(bodies)
            stream = connection.open(path, dice.choice([[], [("grpc-timeout", "5m")], [("te", "nonsense")]]))
            connection.send_data(stream, http2.message(body))
            calls += 1
            if dice.random() < 0.2:
                connection.send(http2.reset(stream))
            connection.read_for(0.001)
        except (http2.Closed, TimeoutError, KeyError):
            connections.remove(connection)
            connection.close()
        if dice.random() < 0.05 and connections:
            connections.pop(dice.randrange(len(connections))).close()
    for connection in connections:
        connection.close()
    rig.figures["calls"] = calls
    idle(rig)


@attack()
def clients_of_ours_in_numbers(rig):
    """60 commands at once that are interrupted after half a second."""
    rig.serve(context=65536, peak=384 * MIB)
    clients = [subprocess.Popen([rig.binaries / "halftone", "--server", f"127.0.0.1:{rig.server.port}", "generate",
                                 f"{at} {os.getpid()}", "--max-tokens", "60000", "--ignore-eos"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for at in range(60)]
    time.sleep(1.5)
    for client in clients:
        client.send_signal(signal.SIGINT)
    for client in clients:
        try:
            client.wait(10)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
    idle(rig)
