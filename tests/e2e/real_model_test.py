#!/usr/bin/python3
"""The default model through the whole server, in every mode that it is usually served in.

    real_model_test.py FOLDER_OF_BINARIES
"""

import json
import math
import pathlib
import re
import subprocess
import sys
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
MODES = ["w4a16", "w4a16+kv8", "bf16", "bf16+kv8"]
QUESTION = "The capital of France is"
TEXT = ("Water boils at a lower temperature on a mountain than at the sea, because the air presses less upon it. "
        "The higher the mountain, the longer an egg has to cook.")
SERVER = None


def setUpModule():
    global SERVER
    SERVER = served.Server(BINARIES, served.default_model(), ",".join(MODES), "--kv-bytes", "128MiB")
    unittest.enterModuleContext(SERVER)


def halftone(*words):
    result = subprocess.run([BINARIES / "halftone", "--server", f"127.0.0.1:{SERVER.port}", *words],
                            capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{words}: {result.stderr}")
    return result.stdout


def generate(mode, *words):
    """The messages of an answer, joined: {text, tokens, finish, receipt, ...}."""
    lines = halftone("generate", "--json", "--mode", mode, "--temperature", "0", *words).splitlines()
    messages = [json.loads(line) for line in lines]
    return {**messages[-1], "text": "".join(message["text"] for message in messages),
            "tokens": [token for message in messages for token in message["tokens"]], "mode": messages[0]["mode"]}


class RealModel(unittest.TestCase):
    def test_it_knows_the_capital_of_france(self):
        for mode in MODES:
            answer = generate(mode, QUESTION, "--max-tokens", "12")
            print(f"\n{mode}: {QUESTION}{answer['text']!r}", flush=True)
            self.assertEqual(answer["mode"], mode)
            self.assertIn("Paris", answer["text"])

    def test_it_answers_in_a_chat(self):
        for mode in (MODES[0], MODES[3]):
            answer = generate(mode, "What is the capital of France?", "--chat", "--max-tokens", "60")
            print(f"\n{mode}: {answer['text']!r}", flush=True)
            self.assertIn("Paris", answer["text"])
            self.assertEqual(answer["finish"]["reason"], "STOP")
            self.assertNotIn("<|im_end|>", answer["text"])

    def test_scores_are_those_of_a_language_model(self):
        for mode in MODES:
            report = json.loads(halftone("score", TEXT, "--json", "--mode", mode))
            perplexity = math.exp(-report["sum_logprob"] / len(report["tokens"]))
            shuffled = json.loads(halftone("score", " ".join(sorted(TEXT.split())), "--json", "--mode", mode))
            worse = math.exp(-shuffled["sum_logprob"] / len(shuffled["tokens"]))
            print(f"\n{mode}: perplexity {perplexity:.3f}, of the sorted words {worse:.1f}", flush=True)
            self.assertTrue(3 < perplexity < 100, perplexity)
            self.assertGreater(worse, 5 * perplexity)

    def test_log_probabilities_of_an_answer_are_its_scores(self):
        prompt = halftone("tokenize", "--special", "--ids", QUESTION).strip().split(",")
        for mode in MODES:
            answer = generate(mode, QUESTION, "--max-tokens", "16", "--logprobs", "3", "--ignore-eos")
            ids = prompt + [str(token["id"]) for token in answer["tokens"]]
            report = json.loads(halftone("score", "--ids", ",".join(ids), "--first", str(len(prompt)), "--top", "3",
                                         "--json", "--mode", mode))
            self.assertEqual(len(report["tokens"]), 16)
            for given, scored in zip(answer["tokens"], report["tokens"]):
                for field in ("id", "piece", "logprob", "rank", "top"):
                    self.assertEqual(given[field], scored[field], f"{mode}, {field} of {given['piece']}")

    def test_the_file_is_taken_over_as_it_is(self):
        modes = {mode: kind for mode, kind in re.findall(r"^  (\S+)(?: \*)? .* (exact|requantized) ", halftone("info"),
                                                         re.MULTILINE)}
        self.assertEqual(modes["w4a16"], "exact")
        self.assertEqual(set(modes), set(MODES))

    def test_memory_is_accounted_for(self):
        memory = json.loads(halftone("info", "--json"))["memory"]
        entries = sum(int(entry["bytes"]) for entry in memory["entries"])
        device, = memory["devices"]
        print(f"\n{entries / 2**20:.1f} MiB in the ledger, {int(device['unaccounted_bytes']) / 2**20:.1f} MiB not",
              flush=True)
        self.assertEqual(entries, int(device["accounted_bytes"]))
        self.assertTrue(0 <= int(device["unaccounted_bytes"]) < 64 * 2**20, device)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
