#!/usr/bin/python3
"""A live server behind nginx with docker/nginx.conf: calls go through, attacks on the connection end at nginx.

    nginx_test.py FOLDER_OF_BINARIES
"""

import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
FOUND = subprocess.run([served.ROOT / "tools/fetch_nginx"], capture_output=True, text=True, check=False)
NGINX = FOUND.stdout.strip()
PATIENCE = 10  # seconds


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


GRPC_STATUS = b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f"  # the name, as HPACK compresses it
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
CALL = (header(b":method", b"POST") + header(b":scheme", b"http") + header(b":path", b"/halftone.v1.Inference/Tokenize")
        + header(b":authority", b"x") + header(b"te", b"trailers") + header(b"content-type", b"application/grpc"))


def configuration(folder, server_port, port):
    """Ours with other ports and files."""
    text = (served.ROOT / "docker/nginx.conf").read_text()
    for ours, here in (("127.0.0.1:50051", f"127.0.0.1:{server_port}"), ("listen 50052", f"listen 127.0.0.1:{port}"),
                       ("/run/nginx.pid", f"{folder}/nginx.pid"), ("/var/log/nginx/error.log", f"{folder}/error.log"),
                       ("worker_processes auto", "worker_processes 1")):
        assert ours in text, ours
        text = text.replace(ours, here)
    paths = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = pathlib.Path(folder) / "nginx.conf"
    file.write_text(text.replace("http {\n", "http {\n" + paths, 1))
    return file


class Behind(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        subprocess.run([BINARIES / "write_tiny_checkpoint", f"{folder}/tiny.gguf"], check=True)
        server = served.Server(BINARIES, f"{folder}/tiny.gguf", "w4a16", "--kv-bytes", "4MiB")
        cls.server = cls.enterClassContext(server)
        cls.port = served.free_port()
        file = configuration(folder, cls.server.port, cls.port)
        cls.nginx = cls.enterClassContext(served.Process(
            "nginx", [NGINX, "-p", folder, "-c", file, "-e", f"{folder}/start.log", "-g", "daemon off;"]))
        served.wait_until(lambda: socket.create_connection(("127.0.0.1", cls.port), timeout=1).close() is None,
                          PATIENCE, "nginx")

    @classmethod
    def enterClassContext(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def halftone(self, *words):
        return subprocess.run([BINARIES / "halftone", "--server", f"127.0.0.1:{self.port}", *words],
                              capture_output=True, text=True, timeout=60, check=False)

    def tearDown(self):
        """Whatever was tried: others are served, and the server has kept little of it."""
        answer = self.halftone("generate", "the one", "--max-tokens", "4", "--temperature", "0")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIsNone(self.server.child.poll())
        self.assertLess(self.resident() - self.before, 64e6)

    def setUp(self):
        self.before = self.resident()

    def resident(self):
        pages = pathlib.Path(f"/proc/{self.server.child.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    def attack(self, *parts, seconds=2):
        """Sends the parts again and again until the other end hangs up or the time is over; gives what it said."""
        heard = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.settimeout(0.2)
            end = time.monotonic() + seconds
            try:
                client.sendall(GREETING)
                for part in parts:
                    client.sendall(part)
                while time.monotonic() < end:
                    try:
                        more = client.recv(65536)
                    except TimeoutError:
                        continue
                    if not more:
                        break
                    heard += more
            except OSError:
                pass
        return heard

    def test_calls_go_through(self):
        info = self.halftone("info")
        self.assertEqual(info.returncode, 0, info.stderr)
        self.assertIn("tiny", info.stdout)

    def test_a_compressed_message_is_refused(self):
        heard = self.attack(frame(1, 4, 1, CALL + header(b"grpc-encoding", b"gzip")) +
                            frame(0, 1, 1, b"\1\0\0\0\4bomb"), seconds=1)
        self.assertIn(GRPC_STATUS + b"\x0212", heard)  # UNIMPLEMENTED

    def test_a_header_block_without_end(self):
        self.attack(frame(1, 0, 1, header(b"a", b"b")), *[frame(9, 0, 1, header(b"a", b"b") * 2000)] * 500)

    def test_a_header_string_that_claims_a_gigabyte(self):
        self.attack(frame(1, 0, 1, b"\0\x07:method\x7f\x81\xff\xff\xff\x03"), *[frame(9, 0, 1, b"x" * 16000)] * 500)

    def test_streams_without_data(self):
        self.attack(*[frame(1, 4, stream, CALL) for stream in range(1, 20001, 2)])

    def test_resets_at_once(self):
        self.attack(*[frame(1, 5, stream, CALL) + frame(3, 0, stream, b"\0\0\0\x08") for stream in range(1, 4001, 2)])

    def test_other_protocols(self):
        for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\xff" * 100):
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
                client.sendall(noise)


if __name__ == "__main__":
    if FOUND.returncode != 0:
        served.skip("needs nginx (tools/fetch_nginx): " + " ".join(FOUND.stderr.split()))
    unittest.main(argv=sys.argv[:1], verbosity=2)
