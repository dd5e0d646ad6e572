"""What the end-to-end tests share: a server of ours on free ports, the default model, a skip that can be seen."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
from measuring import free_port  # noqa: E402, F401


def skip(reason):
    """Ends the test as skipped: ctest knows the status, tools/run_tests lists the reason."""
    print(f"SKIP: {reason}")
    sys.exit(77)


def default_model():
    """The default model's file, or a skip where it cannot be had."""
    result = subprocess.run([ROOT / "tools/fetch_model"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        skip("needs the default model (tools/fetch_model): " + " ".join(result.stderr.split()))
    return result.stdout.strip()


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def wait_until(ready, seconds, what):
    """Polls `ready` until it is true; an OSError means not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except OSError:  # refused connections and HTTP errors among them
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what} not within {seconds} s")


class Process:
    """A child with its output in a file, ended with the block that it is used in."""

    def __init__(self, name, command):
        self.name, self.command = name, [str(word) for word in command]

    def __enter__(self):
        self.log = tempfile.NamedTemporaryFile("w+", prefix=f"{self.name}-", suffix=".log")
        self.child = subprocess.Popen(self.command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        return self

    def wait_ready(self, url, seconds):
        def ready():
            if self.child.poll() is not None:
                raise AssertionError(f"{self.name} ended with status {self.child.returncode}:\n{self.output()}")
            return fetch(url) is not None
        wait_until(ready, seconds, f"{self.name} ready")

    def output(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=60)

    def __exit__(self, error, *_):
        status = self.stop()
        if error:
            print(f"== the output of {self.name}, which ended with status {status}:\n{self.output()}")
        self.log.close()


class Server(Process):
    """halftone-server of a folder of binaries, serving `model`; ready when the block begins."""

    def __init__(self, binaries, model, modes, *flags, program="halftone-server"):
        self.port = self.metrics_port = None  # of the server's own choice
        super().__init__(program, [
            pathlib.Path(binaries) / program, "--model", model, "--modes", modes,
            "--port", 0, "--metrics-port", 0, *flags])

    def __enter__(self):
        super().__enter__()
        try:
            wait_until(self.serves, 120, f"{self.name} ready")
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise
        return self

    def serves(self):
        """Whether it has said so; then its ports are known."""
        found = re.search(r" on \S+:(\d+) \(gRPC\) and http://\S+:(\d+)/", self.output())
        if found:
            self.port, self.metrics_port = int(found[1]), int(found[2])
        elif self.child.poll() is not None:
            raise AssertionError(f"{self.name} ended with status {self.child.returncode}:\n{self.output()}")
        return found is not None

    def metrics(self):
        return fetch(f"http://127.0.0.1:{self.metrics_port}/metrics")


def cache_directory():
    return pathlib.Path(os.path.dirname(subprocess.run([ROOT / "tools/fetch_model", "--path"], capture_output=True,
                                                       text=True, check=True).stdout.strip()))
