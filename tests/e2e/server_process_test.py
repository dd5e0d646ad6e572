#!/usr/bin/python3
"""The server as a process among others: signals, a log that nobody reads, little memory, few threads.

    server_process_test.py FOLDER_OF_BINARIES
"""

import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
SERVER = BINARIES / "halftone-server"
FOLDER = tempfile.TemporaryDirectory()
MODEL = FOLDER.name + "/tiny.gguf"
SMALL = ("--model", MODEL, "--port", "0", "--metrics-port", "0")
SHORT = 15  # seconds; far less than what would be waited for


def setUpModule():
    unittest.addModuleCleanup(FOLDER.cleanup)
    subprocess.run([BINARIES / "write_tiny_checkpoint", MODEL], check=True)


class Loading(unittest.TestCase):
    def loading(self, *before):
        """A server that has just begun to load."""
        server = subprocess.Popen([*before, SERVER, *SMALL, "--kv-bytes", "1MiB"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        self.assertIn(" loads ", server.stdout.readline())
        return server

    def test_a_signal_ends_a_server_that_loads(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server = self.loading()
            server.send_signal(number)
            rest = server.stdout.read()
            self.assertEqual(server.wait(timeout=SHORT), -number)
            self.assertNotIn("serving", rest)

    def test_so_does_the_first_process_of_a_container(self):
        try:
            server = self.loading("unshare", "--pid", "--fork", "--kill-child")
        except AssertionError:
            self.skipTest("no namespace for processes can be made here")
        child = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        self.assertNotIn("serving", server.stdout.read())
        self.assertEqual(server.wait(timeout=SHORT), 128 + signal.SIGTERM)


class Drain(unittest.TestCase):
    def test_a_second_signal_ends_the_drain(self):
        """Requests that would take a minute, on the slowest kernels; both signals close together, and apart."""
        for first, second, pause in ((signal.SIGTERM, signal.SIGTERM, 0.5), (signal.SIGINT, signal.SIGTERM, 0)):
            with served.Server(BINARIES, MODEL, "w4a16", "--kv-bytes", "64MiB", "--cpu-isa", "emulated", "--threads",
                               "1", "--drain-seconds", "600") as server:
                bench = subprocess.Popen(
                    [BINARIES / "halftone", "--server", f"127.0.0.1:{server.port}", "bench", "--concurrency", "200",
                     "--requests", "200", "--prompt-tokens", "8", "--max-tokens", "500"], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)
                served.wait_until(lambda: self.running(server) > 0, 60, "requests running")
                began = time.monotonic()
                server.child.send_signal(first)
                time.sleep(pause)
                self.assertIsNone(server.child.poll(), "it does not drain at all")
                server.child.send_signal(second)
                self.assertEqual(server.child.wait(timeout=SHORT), 0, server.output())
                self.assertLess(time.monotonic() - began, SHORT)
                self.assertRegex(server.output(), r"[1-9]\d* requests running")
                bench.kill()
                bench.wait()

    def running(self, server):
        return sum(float(line.split()[-1]) for line in server.metrics().splitlines()
                   if line.startswith("llm_requests_running{"))


class Log(unittest.TestCase):
    def test_a_reader_that_leaves_while_the_server_loads_does_not_end_it(self):
        port = served.free_port()
        reader, writer = os.pipe()
        server = subprocess.Popen([SERVER, *SMALL[:-1], str(port), "--kv-bytes", "1MiB"], stdout=writer,
                                  stderr=writer)
        os.close(writer)
        os.read(reader, 10)
        os.close(reader)
        try:
            served.wait_until(lambda: served.fetch(f"http://127.0.0.1:{port}/healthz") == "ok\n", 60, "it serves")
        finally:
            server.terminate()
            self.assertEqual(server.wait(timeout=SHORT), 0)


class Scarcity(unittest.TestCase):
    def start(self, megabytes, kv_bytes, *words):
        """What a server says that may have so much address space; it is stopped when it serves. And how it ended."""
        limit = megabytes << 20
        server = subprocess.Popen(
            [SERVER, *SMALL, "--kv-bytes", kv_bytes, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        watchdog = threading.Timer(SHORT, server.kill)
        watchdog.start()
        lines = []
        for line in server.stdout:
            lines.append(line)
            if " serving " in line:
                server.terminate()
        server.stdout.close()
        watchdog.cancel()
        return [line for line in lines if " info " not in line], server.wait()

    def test_where_memory_ends_one_line_says_so(self):
        for megabytes in (60, 80, 100, 150):
            said, status = self.start(megabytes, "1GiB", "--threads", "2")
            self.assertEqual((len(said), status), (1, 1), (megabytes, said))
            self.assertRegex(said[0], "--[a-z]+", megabytes)

    def test_where_threads_end_one_line_names_the_flag(self):
        said, status = self.start(900, "1MiB", "--threads", "256")  # stacks of 8 MiB
        self.assertEqual((len(said), status), (1, 1), said)
        self.assertRegex(said[0], r"compute thread \d+ of 256 \(--threads\)")

    def test_an_arena_beyond_the_memory_names_its_flag_and_is_not_taken(self):
        said, status = self.start(1 << 20, "1PiB")
        self.assertEqual((len(said), status), (1, 1), said)
        self.assertRegex(said[0], "not enough memory: .*--kv-bytes.* are free")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
