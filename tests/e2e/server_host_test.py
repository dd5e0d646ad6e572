#!/usr/bin/python3
"""Requests to tokens through the CUDA kernels, run by this processor: the greedy answers of the CPU, at once and alone.

    server_host_test.py FOLDER_OF_BINARIES
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

import served

MODES = ["w4a16", "w4a16+kv8", "w8a16", "bf16+kv8"]
PROMPTS = ["the", "a longer prompt, for a chunk or two", "x"]
TOKENS = 4  # few: bf16 activations may turn a close choice the other way


def answers(server, binaries):
    def ask(question):
        mode, prompt = question
        command = [binaries / "halftone", "--server", f"127.0.0.1:{server.port}", "generate", prompt, "--mode", mode,
                   "--temperature", "0", "--max-tokens", str(TOKENS), "--ignore-eos"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout
    questions = [(mode, prompt) for mode in MODES for prompt in PROMPTS]
    with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
        return dict(zip(questions, pool.map(ask, questions)))


def main():
    binaries = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([binaries / "write_tiny_checkpoint", f"{folder}/tiny"], check=True)
        flags = ["--kv-bytes", "2MiB", "--max-context", "256"]
        found = {}
        for device, program in [("cpu", "halftone-server"), ("cuda:host", "halftone-server-host")]:
            with served.Server(binaries, f"{folder}/tiny", ",".join(MODES), "--device", device, *flags,
                               program=program) as server:
                found[device] = answers(server, binaries)
                page = server.metrics()
                assert f'device="{device}"' in page, "the metrics speak of another device"
                if device != "cpu":
                    unaccounted = re.search(r"^llm_memory_device_unaccounted_bytes\{.*\} (\S+)$", page, re.MULTILINE)
                    assert float(unaccounted[1]) == 0, f"{unaccounted[1]} bytes of the card are not in the ledger"
                    graphs = re.search(r'^llm_memory_bytes\{.*owner="graphs".*\} (\S+)$', page, re.MULTILINE)
                    assert graphs and float(graphs[1]) > 0, "recorded decodes are not in the ledger"
    for question, expected in found["cpu"].items():
        actual = found["cuda:host"][question]
        assert expected == actual, (question, expected, actual)
    print(f"{len(found['cpu'])} answers of {TOKENS} tokens, the same from both devices")


if __name__ == "__main__":
    main()
