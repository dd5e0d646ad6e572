#!/usr/bin/python3
"""Watches a server from a process of its own while it is attacked: asks both health checks over new connections, and
samples its memory. At the end of its input it prints what it saw, as JSON.

    watch.py PID PORT METRICS_PORT
"""

import json
import pathlib
import socket
import sys
import threading
import time

import http2

PAUSE, PATIENCE = 0.15, 10


def anonymous_bytes(pid):
    """RssAnon; 0 where the process is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def ask_http(port, path="/healthz", patience=PATIENCE):
    """The whole answer to one request over a new connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while got := connection.recv(65536):
            answer += got
    return answer


def http_health(port, patience=PATIENCE):
    answer = ask_http(port, patience=patience)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(f"/healthz: {answer[:60]!r}")


def grpc_health(port, patience=PATIENCE):
    with http2.Connection(port, patience=patience) as connection:
        answer = connection.call(http2.HEALTH)
    if answer.status != "OK" or answer.messages() != [b"\x08\x01"]:
        raise OSError(f"health: {answer} {answer.messages()}")


class Probe(threading.Thread):
    def __init__(self, ask, port, stop):
        super().__init__(daemon=True)
        self.ask, self.port, self.stop = ask, port, stop
        self.seconds, self.errors = [], []

    def run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                self.ask(self.port)
            except (OSError, http2.Closed) as error:
                self.errors.append(f"{error}")
            self.seconds.append(time.monotonic() - began)
            self.stop.wait(PAUSE)

    def report(self):
        return {"asked": len(self.seconds), "worst": max(self.seconds, default=0),
                "slow": sum(second > 1 for second in self.seconds), "failed": len(self.errors),
                "errors": sorted(set(self.errors))[:5]}


def main():
    pid, port, metrics_port = map(int, sys.argv[1:])
    stop, peak = threading.Event(), [0]

    def sample():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], anonymous_bytes(pid))

    probes = [Probe(http_health, metrics_port, stop), Probe(grpc_health, port, stop)]
    threads = [*probes, threading.Thread(target=sample, daemon=True)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE + 1)
    print(json.dumps({"http": probes[0].report(), "grpc": probes[1].report(), "peak": peak[0]}))


if __name__ == "__main__":
    main()
