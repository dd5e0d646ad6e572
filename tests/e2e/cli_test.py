#!/usr/bin/python3
"""The `halftone` command as a person and a script meet it: answers, exit codes, messages, Ctrl-C.

    cli_test.py FOLDER_OF_BINARIES
"""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
MODES = ["w4a16", "w4a16+kv8"]
SUBCOMMANDS = {  # with what each needs to be legal
    "generate": ["x"], "chat": [], "info": [], "bench": ["--requests", "1"], "score": ["a text"], "tokenize": ["x"],
    "detokenize": ["5"], "health": [], "modes": [], "compare": ["x"],
}
SERVER = None


def run(*words, stdin="", server=None):
    """A finished run of the command against SERVER, or against the address given."""
    address = server or f"127.0.0.1:{SERVER.port}"
    return subprocess.run([BINARIES / "halftone", "--server", address, *words], input=stdin, capture_output=True,
                          text=True, errors="replace", timeout=60, check=False)


def write_checkpoint(folder):
    """A tiny model with room for an answer that takes seconds."""
    subprocess.run([BINARIES / "write_tiny_checkpoint", folder], check=True)
    path = pathlib.Path(folder) / "config.json"
    config = json.loads(path.read_text())
    config["max_position_embeddings"] = 65536
    path.write_text(json.dumps(config))


def setUpModule():
    global SERVER
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    write_checkpoint(folder.name + "/tiny")
    SERVER = served.Server(BINARIES, folder.name + "/tiny", ",".join(MODES), "--kv-bytes", "64MiB")
    unittest.enterModuleContext(SERVER)


class Case(unittest.TestCase):
    def ok(self, *words, stdin=""):
        result = run(*words, stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def fails(self, status, says, *words, server=None):
        """One line on standard error, nothing on standard output."""
        result = run(*words, server=server)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, says)
        self.assertLessEqual(len(result.stderr.splitlines()), 1 if status == 1 else 2, result.stderr)
        return result


class Generate(Case):
    GREEDY = ["--max-tokens", "12", "--temperature", "0"]

    def test_text_goes_to_output_and_receipt_to_errors(self):
        result = self.ok("generate", "once upon", *self.GREEDY)
        self.assertGreater(len(result.stdout), 2)
        self.assertIn("mode w4a16, seed ", result.stderr)
        self.assertRegex(result.stderr, r"\d+ prompt tokens, \d+ generated in [\d.]+ s")

    def test_quiet_prints_the_text_alone(self):
        result = self.ok("generate", "once upon", *self.GREEDY, "--quiet")
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.stdout, self.ok("generate", "once upon", *self.GREEDY).stdout)

    def test_standard_input_gives_the_same(self):
        expected = self.ok("generate", "once upon", *self.GREEDY).stdout
        self.assertEqual(self.ok("generate", "-", *self.GREEDY, stdin="once upon").stdout, expected)
        self.assertEqual(self.ok("generate", *self.GREEDY, stdin="once upon").stdout, expected)

    def test_ids_give_the_same(self):
        ids = self.ok("tokenize", "--ids", "once upon").stdout.strip()
        expected = self.ok("generate", "once upon", *self.GREEDY).stdout
        self.assertEqual(self.ok("generate", "--ids", ids, *self.GREEDY).stdout, expected)

    def test_json_is_one_message_a_line(self):
        result = self.ok("generate", "once upon", *self.GREEDY, "--json")
        messages = [json.loads(line) for line in result.stdout.splitlines()]
        text = "".join(message["text"] for message in messages)
        self.assertEqual(text, self.ok("generate", "once upon", *self.GREEDY, "-q").stdout[:-1])
        self.assertEqual(sum(len(message["tokens"]) for message in messages),
                         messages[-1]["receipt"]["generated_tokens"])
        self.assertIn(messages[-1]["finish"]["reason"], ("LENGTH", "STOP"))

    def test_a_seed_repeats_the_draws_and_another_does_not(self):
        drawn = ["generate", "once", "--max-tokens", "40", "--temperature", "1", "-q", "--seed"]
        self.assertEqual(self.ok(*drawn, "5").stdout, self.ok(*drawn, "5").stdout)
        self.assertNotEqual(self.ok(*drawn, "5").stdout, self.ok(*drawn, "6").stdout)

    def test_logprobs_show_every_token(self):
        result = self.ok("generate", "once upon", "--max-tokens", "6", "--temperature", "0", "--logprobs", "2")
        self.assertEqual(len(re.findall(r"^ +-?\d+\.\d{4}  #1 ", result.stderr, re.MULTILINE)), 6, result.stderr)

    def test_a_stop_string_ends_the_text_before_it(self):
        drawn = ["generate", "once upon", "--temperature", "1", "--seed", "5", "--max-tokens", "60"]
        text = self.ok(*drawn, "-q").stdout[:-1]
        stop = next((letter for letter in text[8:] if letter.isascii() and letter.isalnum()), None)
        self.assertIsNotNone(stop, text)
        result = self.ok(*drawn, "--stop", stop)
        self.assertEqual(result.stdout[:-1], text[:text.index(stop)])
        self.assertIn("ended by STOP", result.stderr)

    def test_a_chat_is_rendered(self):
        plain = json.loads(self.ok("generate", "hi", "--json", *self.GREEDY).stdout.splitlines()[-1])
        chat = json.loads(self.ok("generate", "hi", "--chat", "--json", *self.GREEDY).stdout.splitlines()[-1])
        self.assertGreater(chat["receipt"]["prompt_tokens"], plain["receipt"]["prompt_tokens"])

    def test_mistakes_name_what_is_wrong(self):
        self.fails(1, r'NOT_FOUND: .*"w5".*w4a16, w4a16\+kv8', "generate", "x", "--mode", "w5")
        self.fails(1, r"INVALID_ARGUMENT: sampling.top_p = 1.7 is outside \(0, 1\]", "generate", "x", "--top-p",
                   "1.7")
        self.fails(1, r"OUT_OF_RANGE: .*65536", "generate", "x", "--max-tokens", "70000")
        self.fails(2, r"--bias 5:1 is not ID=VALUE", "generate", "x", "--bias", "5:1")
        self.fails(2, r"--max-tokens", "generate", "x", "--max-tokens", "many")
        self.fails(2, r"--max-tokns", "generate", "x", "--max-tokns", "5")

    def test_a_call_that_takes_too_long_keeps_the_text_so_far(self):
        result = run("--timeout", "0.5", "generate", "x", "--max-tokens", "60000", "--ignore-eos", "-q")
        self.assertEqual(result.returncode, 1)
        self.assertGreater(len(result.stdout), 10)
        self.assertRegex(result.stderr, "^halftone: DEADLINE_EXCEEDED: .*--timeout gives more time\n$")

    def test_ctrl_c_ends_with_130(self):
        with subprocess.Popen([BINARIES / "halftone", "--server", f"127.0.0.1:{SERVER.port}", "generate", "x",
                               "--max-tokens", "60000", "--ignore-eos", "--temperature", "0"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            child.stdout.read(10)
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=10)
            self.assertEqual(child.returncode, 130)


class Others(Case):
    def test_info_is_one_page(self):
        page = self.ok("info").stdout
        for word in ("Halftone", "model", "chatml", "Modes", *MODES, "max_context_tokens", "65536", "kv_cache"):
            self.assertIn(word, page)
        self.assertLess(len(page.splitlines()), 80)

    def test_info_as_json_is_the_api(self):
        info = json.loads(self.ok("info", "--json").stdout)
        server = info.get("server", info.get("info", info))
        self.assertEqual([mode["id"] for mode in server["modes"]], MODES)
        self.assertEqual(server["default_mode"], MODES[0])

    def test_modes_is_a_row_for_each(self):
        self.ok("generate", "x", "--max-tokens", "4", "--temperature", "0", "--ignore-eos")
        page = self.ok("modes").stdout.splitlines()
        self.assertLessEqual(max(map(len, page)), 120)
        rows = {line.split()[0]: line.split() for line in page if line.strip().startswith("w4a16")}
        self.assertEqual(list(rows), MODES)
        self.assertEqual({len(row) for row in rows.values()}, {15})
        modes = json.loads(self.ok("modes", "--json").stdout)["modes"]
        self.assertEqual([mode["id"] for mode in modes], MODES)
        self.assertGreater(modes[0]["served"]["mean_ttft_seconds"], 0)
        self.assertGreater(modes[0]["served"]["generated_tokens_per_second"], 0)
        self.assertNotIn("quality", modes[0])

    def test_modes_counts_what_metrics_count(self):
        served_by = {mode["id"]: mode["served"] for mode in json.loads(self.ok("modes", "--json").stdout)["modes"]}
        for name, field in (("llm_generated_tokens_total", "generated_tokens"),
                            ("llm_interference_seconds_total", "interference_seconds")):
            for mode, value in re.findall(name + r'{[^}]*mode="([^"]*)"[^}]*} (\S+)', SERVER.metrics()):
                self.assertAlmostEqual(float(value), float(served_by[mode][field]), places=6, msg=name)

    def test_compare_asks_each_mode(self):
        result = self.ok("compare", "once upon", "--max-tokens", "12")
        for mode in MODES:
            self.assertIn(f"== {mode}\n", result.stdout)
        self.assertRegex(result.stdout, r"(the same \d+ tokens as|token \d+ is .* where) w4a16")
        self.assertRegex(result.stdout, r"mode +tokens +differs at +TTFT +TPOT")

    def test_compare_as_json_has_what_generate_says(self):
        report = json.loads(self.ok("compare", "once upon", "--max-tokens", "12", "--json", "--modes",
                                    f"{MODES[1]},{MODES[0]}").stdout)
        self.assertEqual([answer["mode"] for answer in report["answers"]], MODES[::-1])
        for answer in report["answers"]:
            alone = self.ok("generate", "once upon", "--max-tokens", "12", "--temperature", "0", "-q", "--mode",
                            answer["mode"])
            self.assertEqual(answer["text"], alone.stdout[:-1])
            self.assertGreater(answer["peak_kv_bytes"], 0)
            self.assertGreater(answer["own_bytes"] + answer["shared_bytes"], 0)
        self.fails(1, r'NOT_FOUND: --modes names "w5"', "compare", "x", "--modes", "w5")

    def test_bench_reports_percentiles(self):
        report = json.loads(self.ok("bench", "--json", "--mode", MODES[1], "--concurrency", "4", "--requests", "8",
                                    "--prompt-tokens", "10", "--max-tokens", "8").stdout)
        self.assertEqual((report["requests_completed"], report["errors"]), (8, {}))
        self.assertEqual(report["generated_tokens_total"], 64)
        self.assertEqual(report["prompt_tokens_total"], 80)
        page = self.ok("bench", "--concurrency", "2", "--prompt-tokens", "10", "--max-tokens", "8").stdout
        self.assertRegex(page, r"p50.*p90.*p99")

    def test_bench_tells_what_failed(self):
        result = run("bench", "--requests", "2", "--mode", "w5")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"NOT_FOUND: .*w5")

    def test_score_gives_the_perplexity(self):
        line = self.ok("score", "a text of some words").stdout
        self.assertRegex(line, r"^perplexity [\d.]+, [\d.]+ nats per token, \d+ tokens scored, mode w4a16$")
        report = json.loads(self.ok("score", "a text of some words", "--json", "--mode", MODES[1]).stdout)
        self.assertAlmostEqual(sum(token["logprob"] for token in report["tokens"]), report["sum_logprob"], places=3)
        self.assertIn("#", self.ok("score", "a text", "--tokens").stdout)
        self.fails(1, "INVALID_ARGUMENT", "score", "--ids", "5", "--first", "0")

    def test_tokens_make_the_text_again(self):
        text = "Tokens, señor: 42!"
        ids = self.ok("tokenize", "--ids", text).stdout.strip()
        self.assertEqual(self.ok("detokenize", ids).stdout, text + "\n")
        lines = self.ok("tokenize", text).stdout.splitlines()
        self.assertEqual([line.split("\t")[0] for line in lines], ids.split(","))
        report = json.loads(self.ok("tokenize", "--json", text).stdout)
        self.assertEqual([str(i) for i in report["ids"]], ids.split(","))
        self.fails(1, "INVALID_ARGUMENT: .*vocabulary", "detokenize", "99999")

    def test_health_is_an_exit_code(self):
        self.assertEqual(self.ok("health").stdout, "SERVING\n")
        self.assertEqual(self.ok("health", "--mode", MODES[1]).stdout, "SERVING\n")
        self.fails(1, "NOT_FOUND", "health", "--service", "nobody")

    def test_help_is_there_for_every_subcommand(self):
        page = self.ok("--help").stdout
        for name in SUBCOMMANDS:
            self.assertIn(name, page)
            self.assertIn("--help", self.ok(name, "--help").stdout)
        self.assertRegex(self.ok("--version").stdout, r"\d+\.\d+")

    def test_a_wrong_command_line_ends_with_2(self):
        self.fails(2, "subcommand")
        self.fails(2, ".", "sing")
        for name, words in SUBCOMMANDS.items():
            self.fails(2, "--nonsense", name, *words, "--nonsense")
        self.fails(2, "--concurrency", "bench", "--concurrency", "0")
        for value in ("-1", "0", "nan", "inf", "1e10"):
            self.fails(2, "--timeout", "--timeout", value, "info")
        for value in ("-1", "nan", "inf", "1e10"):
            self.fails(2, "--wait", "health", "--wait", value)


class DeadServer(Case):
    def test_every_subcommand_says_who_does_not_answer(self):
        nobody = f"127.0.0.1:{served.free_port()}"
        for name, words in SUBCOMMANDS.items():
            began = time.monotonic()
            result = run(name, *words, server=nobody)
            self.assertEqual(result.returncode, 1, name)
            self.assertEqual(result.stdout, "", name)
            self.assertRegex(result.stderr, f"^halftone: UNAVAILABLE: .*{nobody}.*halftone-server", name)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertLess(time.monotonic() - began, 10, name)

    def test_another_kind_of_server_is_told_apart(self):
        result = run("info", server=f"127.0.0.1:{SERVER.metrics_port}")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words):
        self.seen = b""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.execv(words[0], words)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read(self, seconds):
        """What comes within the time; at the end of the program at once."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.terminal], [], [], left)[0]:
            try:
                self.seen += os.read(self.terminal, 65536)
            except OSError:
                return

    def wait_for(self, ready, seconds, what):
        end = time.monotonic() + seconds
        while not ready(self.seen):
            if time.monotonic() > end:
                raise AssertionError(f"{what} not within {seconds} s: {self.seen[-400:]!r}")
            self.read(0.05)
        return self.seen

    def wait_for_prompt(self):
        """Silence after a prompt: an answer may hold anything, but does not stop there."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            before = len(self.seen)
            self.read(0.4)
            if len(self.seen) == before and self.seen.endswith(b"> "):
                return
        raise AssertionError(f"no prompt: {self.seen[-400:]!r}")

    def wait(self):
        self.read(10)
        status = os.waitpid(self.child, 0)[1]
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


class Chat(Case):
    def open(self, *words):
        chat = Terminal([str(BINARIES / "halftone"), "--server", f"127.0.0.1:{SERVER.port}", "chat", "--temperature",
                         "0", *words])
        chat.wait_for(lambda seen: seen.endswith(b"> "), 15, "the first prompt")
        return chat

    def cancelled(self):
        found = re.findall(r'llm_requests_total\{[^}]*code="CANCELLED"[^}]*\} (\d+)', SERVER.metrics())
        return sum(map(int, found))

    def test_ctrl_c_stops_the_answer_but_not_the_chat(self):
        chat, before = self.open("--max-tokens", "40000", "--ignore-eos"), self.cancelled()
        for turn in range(2):
            start = len(chat.seen)
            chat.type("talk to me\n")
            chat.wait_for(lambda seen, start=start: len(seen) > start + 200, 20, "an answer")
            chat.type("\x03")
            chat.wait_for_prompt()
            served.wait_until(lambda turn=turn: self.cancelled() == before + turn + 1, 2, "the server knows")
        chat.type("/exit\n")
        self.assertEqual(chat.wait(), 0)

    def test_ctrl_c_at_the_prompt_says_how_to_leave(self):
        chat = self.open()
        start = len(chat.seen)
        chat.type("\x03")
        chat.wait_for(lambda seen: b"/exit" in seen[start:], 5, "help")
        chat.type("\x04")
        self.assertEqual(chat.wait(), 0)

    def test_commands_change_the_chat(self):
        chat = self.open("--max-tokens", "4")
        chat.type("/mode nonsense\n")
        chat.wait_for(lambda seen: b"the modes are w4a16, w4a16+kv8" in seen, 5, "the list of modes")
        chat.type(f"/mode {MODES[1]}\n")
        chat.wait_for_prompt()
        chat.type("hello\n")
        chat.wait_for(lambda seen: b"generated in" in seen, 10, "a receipt")
        self.assertIn(f'mode="{MODES[1]}"', SERVER.metrics())
        chat.type("/exit\n")
        self.assertEqual(chat.wait(), 0)

    def test_lines_of_a_pipe_are_answered_too(self):
        result = self.ok("chat", "--max-tokens", "4", "--temperature", "0", stdin="one\ntwo\n")
        self.assertEqual(result.stderr.count("generated in"), 2)
        self.assertNotIn("> ", result.stdout[:2])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
