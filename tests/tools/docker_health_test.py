#!/usr/bin/python3
"""The health check of our images asks the address that the server was started with.

    docker_health_test.py
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

HEALTH = pathlib.Path(__file__).resolve().parents[2] / "docker/health"


class Health(unittest.TestCase):
    def asked(self, *words, before=()):
        """The address that the check asks when the server has such a command line."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            command = folder / "halftone"
            command.write_text('#!/bin/sh\necho "$@"\n')
            command.chmod(0o755)
            for number, (comm, line) in enumerate([("docker-init", before), ("halftone-server", words)], 1):
                process = folder / "proc" / str(number)
                process.mkdir(parents=True)
                (process / "comm").write_text(comm + "\n")
                (process / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in ("server", *line)))
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            result = subprocess.run([HEALTH, folder / "proc"], env=environment, capture_output=True, text=True,
                                    check=True)
        self.assertEqual(result.stderr, "")
        self.assertRegex(result.stdout, "^health --server ")
        return result.stdout.split()[-1]

    def test_the_port_of_the_command_line_is_asked(self):
        self.assertEqual(self.asked("--model", "x"), "127.0.0.1:50051")
        self.assertEqual(self.asked("--listen", "0.0.0.0", "--port", "6000"), "127.0.0.1:6000")
        self.assertEqual(self.asked("--port=6001", "--listen=0.0.0.0"), "127.0.0.1:6001")
        self.assertEqual(self.asked("--model", "a *", "--port", "7", "--port", "8"), "127.0.0.1:8")
        self.assertEqual(self.asked("--port", "6000", before=("--port", "5000")), "127.0.0.1:6000")
        self.assertEqual(self.asked("--metrics-port", "9"), "127.0.0.1:50051")

    def test_every_address_is_asked_where_it_answers(self):
        self.assertEqual(self.asked("--listen", "::"), "[::1]:50051")
        self.assertEqual(self.asked("--listen", "::1", "--port=1"), "[::1]:1")
        self.assertEqual(self.asked("--listen", "[fe80::1]"), "[fe80::1]:50051")
        self.assertEqual(self.asked("--listen", "172.17.0.2"), "172.17.0.2:50051")


if __name__ == "__main__":
    unittest.main(verbosity=2)
