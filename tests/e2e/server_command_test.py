#!/usr/bin/python3
"""The command line of halftone-server: what is wrong is said in one line and nothing is served; --help is complete.

    server_command_test.py FOLDER_OF_BINARIES
"""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
FLAGS = set(re.findall(r'"(--[a-z-]+)"', (served.ROOT / "server/config.cc").read_text()))
WELL_KNOWN = {"--help", "--version", "--model", "--modes", "--listen", "--port", "--metrics-port", "--device",
              "--threads", "--max-context", "--kv-bytes", "--queue-requests", "--queue-tokens", "--stall-seconds",
              "--drain-seconds", "--keepalive-seconds", "--prefix-cache", "--reflection", "--quality-cards"}
FOLDER = tempfile.TemporaryDirectory()
MODEL = FOLDER.name + "/tiny.gguf"


def setUpModule():
    unittest.addModuleCleanup(FOLDER.cleanup)
    subprocess.run([BINARIES / "write_tiny_checkpoint", MODEL], check=True)


def run(*words):
    return subprocess.run([BINARIES / "halftone-server", *map(str, words)], capture_output=True, text=True, timeout=60,
                          check=False)


class Mistakes(unittest.TestCase):
    def refused(self, says, *words):
        """A status that is not 0, and one line that says what is wrong."""
        result = run(*words)
        self.assertGreater(result.returncode, 0, result.stdout)  # a signal would be negative
        lines = (result.stdout + result.stderr).splitlines()
        guilty = [line for line in lines if re.search(says, line)]
        self.assertEqual(len(guilty), 1, lines)
        others = [line for line in lines if line not in guilty and " info " not in line]
        self.assertIn(others, ([], ["Run with --help for more information."]))

    def serve_with(self, *words):
        return ("--model", MODEL, "--port", 0, "--metrics-port", 0, "--kv-bytes", "1MiB", *words)

    def test_flags_out_of_their_range(self):
        self.refused("--model is required")
        self.refused("--nonsense", *self.serve_with("--nonsense"))
        self.refused("--port", "--model", MODEL, "--port", 70000)
        self.refused("--threads", *self.serve_with("--threads", -1))
        self.refused("--kv-bytes", "--model", MODEL, "--kv-bytes", "much")
        self.refused("--queue-requests", *self.serve_with("--queue-requests", 0))
        self.refused("--stall-seconds", *self.serve_with("--stall-seconds", "soon"))

    def test_numbers_that_no_flag_could_mean(self):
        for flag in ("--stall-seconds", "--drain-seconds", "--keepalive-seconds"):
            for value in ("nan", "inf", "-inf", "1e10", "-1", "86400.1"):
                self.refused(f"{flag}: {value} is outside .*86400", *self.serve_with(flag, value))
        self.refused("--stall-seconds: 0 is outside", *self.serve_with("--stall-seconds", 0))
        self.refused("--keepalive-seconds: 1e-9 is outside", *self.serve_with("--keepalive-seconds", "1e-9"))
        for flag, values in {"--max-context": ("nan", -1, 16777217), "--queue-requests": ("nan", -1, 1 << 32, "1e30"),
                             "--kv-bytes": ("nan", -1, "2PiB", (1 << 64) - 65536),
                             "--queue-tokens": ("nan", -1, "1e30"),
                             "--threads": ("nan", -1, 257), "--port": ("nan", -1, 65536)}.items():
            for value in values:
                self.refused(flag, "--model", MODEL, flag, value)

    def test_a_mode_with_a_slip_names_those_that_exist(self):
        self.refused(r'"w4a61" is not known.*w4a16\+kv8', *self.serve_with("--modes", "w4a61"))
        self.refused(r'"" is not known', *self.serve_with("--modes", "w4a16,"))
        self.refused(r'"w4a16" is listed twice', *self.serve_with("--modes", "w4a16,w4a16"))

    def test_a_model_that_cannot_be_read(self):
        missing = FOLDER.name + "/missing.gguf"
        self.refused(f"error.*{missing}", "--model", missing)
        empty = pathlib.Path(FOLDER.name) / "empty"
        empty.mkdir(exist_ok=True)
        self.refused(f"error.*{empty}", "--model", empty)
        broken = pathlib.Path(FOLDER.name) / "broken.gguf"
        broken.write_bytes(pathlib.Path(MODEL).read_bytes()[:5000])
        self.refused(f"error.*{broken}", "--model", broken)
        broken.write_bytes(b"not a model")
        self.refused(f"error.*{broken}", "--model", broken)

    def test_quality_cards_need_a_directory(self):
        self.refused("--quality-cards", *self.serve_with("--quality-cards", FOLDER.name + "/missing"))

    def test_ports_that_are_taken(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            small = ("--model", MODEL, "--kv-bytes", "1MiB")
            self.refused(f"error.*--port.*{port}", *small, "--metrics-port", 0, "--port", port)
            self.refused(f"error.*--metrics-port.*{port}", *small, "--port", 0, "--metrics-port", port)

    def test_what_the_machine_does_not_have(self):
        self.refused("error.*sse9", *self.serve_with("--cpu-isa", "sse9"))
        self.refused("error.*device tpu", *self.serve_with("--device", "tpu"))
        self.refused("error.*device cuda:9999: ", *self.serve_with("--device", "cuda:9999"))
        self.refused("error.*(--kv-bytes|pages)", "--model", MODEL, "--port", 0, "--metrics-port", 0, "--kv-bytes", 100)


class PackCache(unittest.TestCase):
    def serve(self, folder):
        """What the server says; it served."""
        with served.Server(BINARIES, MODEL, "w4a16", "--kv-bytes", "1MiB", "--pack-cache", folder) as server:
            return server.output()

    def test_the_second_start_writes_nothing(self):
        with tempfile.TemporaryDirectory() as parent:
            folder = pathlib.Path(parent) / "kept/packed"
            first = self.serve(folder)
            files = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
            self.assertEqual(len(files), 2, "one of w4, one of w8 for the embedding")
            second = self.serve(folder)
            self.assertEqual(files, {file: file.stat().st_mtime_ns for file in folder.iterdir()})
            self.assertNotIn("warning", first + second)
            for file in files:
                file.write_bytes(file.read_bytes()[:-1])
            self.assertEqual(len(re.findall("warning --pack-cache: .*packed anew", self.serve(folder))), 2)
            self.assertNotIn("warning", self.serve(folder))

    def test_a_folder_that_cannot_be_is_a_warning(self):
        self.assertRegex(self.serve(MODEL + "/packed"), f"warning --pack-cache: {MODEL}/packed.*")


class Help(unittest.TestCase):
    def test_it_lists_every_flag_once(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        listed = re.findall(r"^  (?:-\w,)?(--[a-z-]+)", result.stdout, re.MULTILINE)
        self.assertEqual(len(listed), len(set(listed)))
        self.assertEqual(set(listed), FLAGS | {"--help", "--version", "--verbose"})
        self.assertLessEqual(WELL_KNOWN, set(listed))

    def test_it_tells_defaults_modes_and_what_a16_means(self):
        page = run("--help").stdout
        for word in ("50051", "9464", "127.0.0.1", "bf16+kv8", "w4a16", "float32", "1024"):
            self.assertIn(word, page)

    def test_the_version_is_a_line(self):
        result = run("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^halftone \d+\.\d+\.\d+\n$")

    def test_the_version_tells_at_length_which_kernels_no_gpu_has_proved(self):
        lines = run("--version", "--verbose").stdout.splitlines()
        self.assertRegex(lines[1], r"^CUDA: (not )?built in$")
        proved, files = map(int, re.fullmatch(r"proved on a GPU: (\d+) of the (\d+) files of CUDA kernels",
                                              lines[2]).groups())
        unverified = [line.removeprefix("unverified: ") for line in lines[3:]]
        self.assertEqual(len(unverified), files - proved)
        self.assertTrue(all(re.fullmatch(r"kernels/\S+\.(cu|h)", file) for file in unverified), unverified)


class QualityCards(unittest.TestCase):
    NUMBERS = ("windows", "window_tokens", "scored_positions", "perplexity", "perplexity_standard_error",
               "reference_perplexity", "kl_mean", "kl_standard_error", "kl_median", "kl_p99", "kl_max", "top1")
    TEXTS = ("source_digest", "source_format", "import", "reference", "protocol", "bos", "label", "machine", "commit")

    def card(self, mode, digest):
        return {"mode": mode, "weights_digest": digest, "text": {"name": "a text", "sha256": "00"},
                **{key: "?" for key in self.TEXTS}, **{key: 0.5 for key in self.NUMBERS},
                "windows": 1, "window_tokens": 2, "scored_positions": 3}

    def modes(self, server):
        result = subprocess.run([BINARIES / "halftone", "modes", "--json", "--server", f"127.0.0.1:{server.port}"],
                                capture_output=True, text=True, timeout=60, check=True)
        return json.loads(result.stdout)["modes"]

    def test_those_of_the_served_weights_are_shown_and_others_are_a_line_in_the_log(self):
        small = ("--kv-bytes", "1MiB")
        with served.Server(BINARIES, MODEL, "w4a16,bf16", *small) as server:
            digests = {mode["id"]: mode["weights_digest"] for mode in self.modes(server)}
        with tempfile.TemporaryDirectory() as cards:
            folder = pathlib.Path(cards)
            (folder / "w4a16.json").write_text(json.dumps(self.card("w4a16", digests["w4a16"])))
            (folder / "bf16.json").write_text(json.dumps(self.card("bf16", "sha256:another")))
            (folder / "broken.json").write_text('{"mode": "w4a16"')
            with served.Server(BINARIES, MODEL, "w4a16,bf16", *small, "--quality-cards", cards) as server:
                w4a16, bf16 = self.modes(server)
                log = server.output()
        self.assertEqual((w4a16["quality"]["kl_mean"], w4a16["quality"]["text"]), (0.5, "a text"))
        self.assertNotIn("quality", bf16)
        ignored = [line for line in log.splitlines() if "quality card ignored" in line]
        self.assertEqual(len(ignored), 2, log)
        self.assertRegex(ignored[0], "bf16.json: weights_digest .*sha256:another")
        self.assertIn("broken.json", ignored[1])


class Signals(unittest.TestCase):
    def test_an_idle_server_ends_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with served.Server(BINARIES, MODEL, "w4a16", "--kv-bytes", "1MiB") as server:
                server.child.send_signal(number)
                self.assertEqual(server.child.wait(timeout=10), 0, server.output())
                self.assertNotIn("error", server.output())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
