#!/usr/bin/python3
"""The Python example of the README, word for word, against a live server.

    python_example_test.py FOLDER_OF_BINARIES
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import served


def example():
    """The shell line that makes the stubs, and the program."""
    section = (served.ROOT / "README.md").read_text().split("\n## From Python\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "python"], "the section has one shell and one Python block"
    return blocks[0][1], blocks[1][1]


def need_tools():
    if subprocess.run([sys.executable, "-c", "import grpc, google.protobuf"], capture_output=True,
                      check=False).returncode != 0:
        served.skip(f"needs grpc for {sys.executable} (Debian's python3-grpcio, python3-protobuf)")
    for tool in ("protoc", "/usr/bin/grpc_python_plugin"):
        if shutil.which(tool) is None:
            served.skip(f"needs {tool} (Debian's protobuf-compiler, protobuf-compiler-grpc)")


def main():
    binaries = pathlib.Path(sys.argv[1])
    need_tools()
    make_stubs, program = example()
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(served.ROOT / "proto", f"{folder}/proto")
        subprocess.run(["sh", "-ec", make_stubs], cwd=folder, check=True)
        subprocess.run([binaries / "write_tiny_checkpoint", f"{folder}/tiny"], check=True)
        with served.Server(binaries, f"{folder}/tiny", "w4a16,bf16", "--kv-bytes", "4MiB") as server:
            assert program.count("localhost:50051") == 1
            script = pathlib.Path(folder) / "example.py"
            script.write_text(program.replace("localhost:50051", f"127.0.0.1:{server.port}"))
            result = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, encoding="utf-8",
                                    env={**os.environ, "PYTHONIOENCODING": "utf-8"}, timeout=60, check=False)
            assert result.returncode == 0, result.stderr
            print(result.stdout)
            assert result.stdout.startswith("tiny in w4a16, bf16\n"), result.stdout
            tokens = int(re.search(r"\n(\d+) tokens in [\d.]+ s\n$", result.stdout)[1])
            found = re.search(r'llm_generated_tokens_total\{[^}]*mode="w4a16"[^}]*\} (\d+)', server.metrics())
            assert tokens == int(found[1]) > 0, (tokens, found[0])
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 20, f"the example has grown to {len(lines)} lines"


if __name__ == "__main__":
    main()
