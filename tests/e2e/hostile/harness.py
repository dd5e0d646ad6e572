"""The ground that attacks are played on: a server with bounded memory, a watcher beside it, and the verdict."""

import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time
import unicodedata

import http2
import proto
import watch

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
SERVER_MEMORY = 4 << 30  # what a container of the usual size would give
SLOW_SECONDS = 3  # the worst that a probe may take on a busy machine; 1 s is what is aimed at
MEMORY_BACK = 64 * MIB  # over idle, when the attackers have left
LOG_BYTES = 32 << 10
READY = re.compile(r"serving .* on \S*:(\d+) \(gRPC\) and http://\S*?:(\d+)/metrics")
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d (trace|debug|info|warning|error|critical) ")
ATTACKS = {}


class Failed(Exception):
    """The server did not stand it; the text says where."""


class Skipped(Exception):
    """What the attack needs is not here."""


def attack(short=False, seconds=45):
    """Registers a function of one Rig under its name. short: it belongs to make test; seconds: then it is killed."""
    def register(function):
        function.short, function.seconds = short, seconds
        assert function.__name__ not in ATTACKS
        ATTACKS[function.__name__] = function
        return function
    return register


def wait_until(ready, seconds, what):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failed(f"{what} not within {seconds} s")
        time.sleep(0.05)


def limits_of_child(files):
    def apply():
        resource.setrlimit(resource.RLIMIT_DATA, (SERVER_MEMORY, SERVER_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return apply


class Server:
    """halftone-server as a child. output: None for a file, or a descriptor that it writes to instead; port: 0 for any
    free one, which its log then tells."""

    def __init__(self, binaries, folder, model, flags=(), files=0, output=None, port=0):
        self.log = pathlib.Path(folder) / "server.log"
        self.command = [str(word) for word in (
            pathlib.Path(binaries) / "halftone-server", "--model", model, "--port", port, "--metrics-port", 0, *flags)]
        self.port, self.metrics_port = port, 0
        with open(self.log, "wb") as file:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output or file,
                                          stderr=output or file, preexec_fn=limits_of_child(files))

    def wait_ready(self, seconds=60, text=None):
        """text: what it has written, where that is not the log file."""
        def ready():
            if self.child.poll() is not None:
                raise Failed(f"the server ended with {self.child.returncode} while loading: {self.tail()}")
            found = READY.search(text() if text else self.text())
            if found:
                self.port, self.metrics_port = int(found[1]), int(found[2])
            return found
        wait_until(ready, seconds, "the server ready")
        return self

    def text(self):
        return self.log.read_bytes().decode("utf-8", "replace")

    def tail(self):
        return self.log.read_bytes()[-600:].decode("ascii", "backslashreplace")

    def anonymous_bytes(self):
        return watch.anonymous_bytes(self.child.pid)

    def cpu_seconds(self):
        text = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text()
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def metrics(self):
        return watch.ask_http(self.metrics_port, "/metrics").partition(b"\r\n\r\n")[2].decode()

    def metric(self, name, **labels):
        """The sum of the series of this name with these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            if re.match(name + r"[{ ]", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def ends(self, number, seconds, what="SIGTERM"):
        """Seconds until it is gone."""
        began = time.monotonic()
        self.child.send_signal(number)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{what}: still there after {seconds} s") from None
        return time.monotonic() - began


class Rig:
    """What one attack gets. It calls serve() once, then attacks; finish() is the verdict over what any attack must
    leave alone. `figures` are shown with it."""

    def __init__(self, binaries, folder, model):
        self.binaries, self.folder, self.default_model = pathlib.Path(binaries), pathlib.Path(folder), model
        self.figures, self.server, self.watcher, self.idle = {}, None, None, 0
        self.stack = contextlib.ExitStack()
        self.peak_limit, self.health_may_fail, self.log_limit = 512 * MIB, False, LOG_BYTES

    def tiny(self, context=512):
        """A tiny checkpoint with room for so many tokens."""
        path = self.folder / f"tiny{context}"
        if not path.exists():
            subprocess.run([self.binaries / "write_tiny_checkpoint", path], check=True)
            config = json.loads((path / "config.json").read_text())
            config["max_position_embeddings"] = context
            (path / "config.json").write_text(json.dumps(config))
        return path

    def real(self):
        if not self.default_model:
            raise Skipped("needs the default model (tools/fetch_model)")
        return self.default_model

    def serve(self, *flags, model=None, context=512, kv="64MiB", files=0, peak=512 * MIB, health_may_fail=False,
              log_bytes=LOG_BYTES):
        """health_may_fail: new connections may be refused while the attack lasts, but not after it."""
        self.peak_limit, self.health_may_fail, self.log_limit = peak, health_may_fail, log_bytes
        usual = () if model else ("--kv-bytes", kv)
        self.server = Server(self.binaries, self.folder, model or self.tiny(context), (*usual, *flags), files)
        self.server.wait_ready()
        self.check_call()
        self.idle = self.server.anonymous_bytes()
        self.log_at_start = self.server.log.stat().st_size
        self.watcher = subprocess.Popen(
            [sys.executable, "-B", str(HERE / "watch.py"), *map(str, (self.server.child.pid, self.server.port,
                                                                      self.server.metrics_port))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.nice(5 - os.nice(0) if os.nice(0) < 5 else 0)  # the watcher and the server go before the attackers
        return self.server

    def connect(self, **options):
        return self.stack.enter_context(http2.Connection(self.server.port, **options))

    def call(self, path, body=b"", extra=(), **options):
        with http2.Connection(self.server.port, **options) as connection:
            return connection.call(path, body, extra)

    def check_call(self):
        """The server still does its work."""
        answer = self.call(http2.api("Generate"), proto.generate(proto.prompt("hi"), 3), patience=15)
        self.check(answer.status == "OK", f"a plain call got {answer}")

    def check(self, holds, message):
        if not holds:
            raise Failed(message)

    def expect(self, answer, *statuses):
        self.check(answer.status in statuses, f"{answer} instead of {' or '.join(statuses)}")

    # -- the verdict

    def finish(self):
        began = self.server.cpu_seconds() if self.server.child.poll() is None else 0
        self.check(self.server.child.poll() is None, f"the server ended with {self.server.child.returncode}: "
                                                     f"{self.server.tail()}")
        self.figures["cpu_s"] = round(began, 1)
        self.stack.close()
        self.check_quiet()
        self.check_health()
        self.check_call()
        self.check_log()
        self.figures["end_s"] = round(self.server.ends(signal.SIGTERM, 10), 1)
        self.check(self.server.child.returncode == 0, f"it ended with {self.server.child.returncode}")

    def check_quiet(self, seconds=8):
        """No processor time is used and the memory is back."""
        def quiet():
            before = self.server.cpu_seconds()
            time.sleep(0.3)
            used = self.server.cpu_seconds() - before
            over = self.server.anonymous_bytes() - self.idle
            self.figures["after_mb"] = round(over / 1e6, 1)
            return used <= 0.1 and over <= MEMORY_BACK
        try:
            wait_until(quiet, seconds, "quiet")
        except Failed:
            raise Failed(f"{seconds} s later the server holds {self.figures['after_mb']} MB more than idle, or works "
                         f"for nobody") from None

    def stop_watching(self):
        seen = json.loads(self.watcher.communicate(timeout=30)[0])
        self.figures["health_ms"] = [round(seen[way]["worst"] * 1000) for way in ("http", "grpc")]
        self.figures["peak_mb"] = round((seen["peak"] - self.idle) / 1e6, 1)
        return seen

    def check_health(self):
        seen = self.stop_watching()
        for way in ("http", "grpc"):
            probe = seen[way]
            self.check(probe["asked"] > 0, f"nobody asked the {way} health check")
            if not self.health_may_fail:
                self.check(not probe["failed"], f"{probe['failed']} of {probe['asked']} {way} health checks failed: "
                                                f"{probe['errors']}")
                self.check(probe["worst"] <= SLOW_SECONDS, f"a {way} health check took {probe['worst']:.1f} s, "
                                                           f"{probe['slow']} of {probe['asked']} more than 1 s")
        self.check(seen["peak"] - self.idle <= self.peak_limit,
                   f"memory went {self.figures['peak_mb']} MB over idle, at most {self.peak_limit / 1e6:.0f} MB")
        result = subprocess.run([self.binaries / "halftone", "--server", f"127.0.0.1:{self.server.port}", "--timeout",
                                 "5", "health"], capture_output=True, text=True, check=False)
        self.check(result.returncode == 0, f"halftone health: {result.stderr}")
        watch.http_health(self.server.metrics_port)

    def check_log(self):
        data = self.server.log.read_bytes()
        grown = len(data) - self.log_at_start
        self.figures["log_bytes"] = grown
        self.check(grown <= self.log_limit, f"{grown} bytes of log")
        check_lines(data)

    def close(self):
        self.stack.close()
        for child in (self.watcher, self.server and self.server.child):
            if child and child.poll() is None:
                child.kill()
                child.wait()


def check_lines(data):
    """Lines of the server's own shape, printable throughout."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Failed(f"the log is not UTF-8: {data[max(0, error.start - 40):error.start + 20]!r}") from None
    for line in text.split("\n")[:-1]:
        if any(unicodedata.category(letter) == "Cc" for letter in line):
            raise Failed(f"control characters in the log: {line[:200]!r}")
        if not LOG_LINE.match(line):
            raise Failed(f"a line that is not the server's: {line[:200]!r}")
