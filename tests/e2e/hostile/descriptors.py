"""Connections in numbers: those that use up the descriptors, and those that stay."""

import errno
import resource
import socket
import time

import http2
import proto
import watch
from harness import MIB, Skipped, attack
from http2 import Connection

FILES = 256


def open_many(rig, port, count, first=b""):
    """Connections that say `first` and no more; fewer where they are refused, or not taken within some seconds."""
    made, end = [], time.monotonic() + 4
    for _ in range(count):
        if time.monotonic() > end:
            break
        connection = socket.socket()
        connection.settimeout(0.5)
        try:
            connection.connect(("127.0.0.1", port))
            connection.sendall(first)
        except OSError as error:
            connection.close()
            if error.errno == errno.EMFILE:
                raise
            continue
        made.append(connection)
    rig.figures["opened"] = rig.figures.get("opened", 0) + len(made)
    return made


def close_all(connections):
    for connection in connections:
        connection.close()


def calls_work(rig):
    """Over new connections, soon after the crowd has left."""
    began = time.monotonic()
    while True:
        try:
            rig.call(http2.HEALTH, patience=1)
            break
        except (http2.Closed, TimeoutError):
            rig.check(time.monotonic() - began < 5, "5 s after the crowd has left no call gets through")
            time.sleep(0.1)
    rig.check_call()
    watch.http_health(rig.server.metrics_port, 2)


def crowd(rig, ports, first=b""):
    """More connections than descriptors, twice, beside a client with an answer under way."""
    rig.serve(files=FILES, context=65536, peak=96 * MIB, health_may_fail=True)
    early = rig.connect(patience=5)
    stream = early.start(http2.api("GenerateStream"), proto.generate(proto.prompt("hi"), 60000))
    for _ in range(2):
        crowds = [open_many(rig, getattr(rig.server, port), 400, first) for port in ports]
        seen = len(early.answers[stream].body)
        early.read_for(0.3)
        if len(early.answers[stream].body) == seen:
            early.read_for(3)
        rig.check(len(early.answers[stream].body) > seen, f"the answer under way stopped: {early.goaway}")
        if "metrics_port" not in ports:
            watch.ask_http(rig.server.metrics_port, patience=2)
        for connections in crowds:
            close_all(connections)
        calls_work(rig)


@attack()
def descriptors_of_grpc(rig):
    """256 descriptors, 400 idle connections to the gRPC port, closed again, twice."""
    crowd(rig, ["port"])


@attack()
def descriptors_of_http(rig):
    """The same on the HTTP port; the gRPC port goes on meanwhile."""
    crowd(rig, ["metrics_port"])


@attack(short=True)
def descriptors_of_both(rig):
    """The same on both ports at once."""
    crowd(rig, ["port", "metrics_port"])


@attack()
def descriptors_half_open(rig):
    """The same with connections that have sent HTTP/2's preface, and that have sent half of it."""
    crowd(rig, ["port"], http2.PREFACE + http2.settings({}))


@attack(short=True)
def descriptors_in_use(rig):
    """The same while 20 answers run, which have to end well."""
    rig.serve(files=FILES, peak=96 * MIB, health_may_fail=True)
    busy = [rig.connect(patience=15) for _ in range(20)]
    streams = [connection.start(http2.api("Generate"), proto.generate(proto.prompt("hi"), 100)) for connection in busy]
    crowds = [open_many(rig, rig.server.port, 400), open_many(rig, rig.server.metrics_port, 400, b"GET /heal")]
    for connection, stream in zip(busy, streams):
        answer = connection.finish(stream)
        rig.check(answer.status == "OK", f"an answer that ran got {answer}")
    for connections in crowds:
        close_all(connections)
    calls_work(rig)


@attack(seconds=60)
def many_connections(rig):
    """2,000 connections of each port that have said what a connection begins with, and stay."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < 4200:
        raise Skipped(f"needs 4,200 descriptors, the hard limit is {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rig.serve(files=min(most, 8192), peak=512 * MIB, health_may_fail=True)
    crowds = [open_many(rig, rig.server.port, 2000, http2.PREFACE + http2.settings({})),
              open_many(rig, rig.server.metrics_port, 2000)]
    time.sleep(0.5)
    watch.http_health(rig.server.metrics_port, 3)
    for connections in crowds:
        close_all(connections)
    calls_work(rig)


@attack()
def connections_opened_and_closed(rig):
    """1,500 connections, each with one health check, one after another."""
    rig.serve(files=FILES, peak=96 * MIB)
    end = time.monotonic() + 6
    for _ in range(1500):
        with Connection(rig.server.port) as connection:
            rig.check(connection.call(http2.HEALTH).status == "OK", "a health check")
        if time.monotonic() > end:
            break
