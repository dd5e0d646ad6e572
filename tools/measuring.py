"""What tools/report and tools/compare_llama_cpp share: a server of ours on free ports, and `halftone bench` on it."""

import json
import os
import pathlib
import random
import re
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "build/bin"


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def free_port():
    """Below the range that the system gives away by itself."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(min(10000, lowest - 1000), lowest), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise SystemExit("no port is free")


class Server:
    def __init__(self, model, modes, *flags):
        self.port, self.metrics_port = free_port(), free_port()
        self.process = subprocess.Popen(
            [BIN / "halftone-server", "--model", model, "--modes", modes, "--port", str(self.port), "--metrics-port",
             str(self.metrics_port), *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while subprocess.run([BIN / "halftone", "--server", self.address, "health"], capture_output=True,
                             check=False).returncode != 0:
            if self.process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.5)

    client = BIN / "halftone"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def bench(self, mode, seed, **setting):
        flags = [word for name, value in setting.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return json.loads(output(BIN / "halftone", "--server", self.address, "bench", "--mode", mode, "--seed",
                                 str(seed), "--json", *flags))

    def series(self, name, **labels):
        page = output("curl", "-s", f"http://127.0.0.1:{self.metrics_port}/metrics")
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name + "{")
                   and all(f'{key}="{value}"' in line for key, value in labels.items()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def mean(values):
    return sum(values) / len(values)


def prefill_speed(server, mode, seed):
    """Tokens per second of a prompt of 512, one at a time."""
    run = server.bench(mode, seed, concurrency=1, requests=6, prompt_tokens=512, max_tokens=1)
    return 512 / run["ttft_seconds"]["mean"]


def decode_speed(server, mode, seed):
    """Tokens per second of one answer of 128 tokens to a short prompt."""
    run = server.bench(mode, seed, concurrency=1, requests=4, prompt_tokens=8, max_tokens=128)
    return 1 / run["tpot_seconds"]["mean"]


def sixteen_at_once(server, mode, seed):
    """Generated tokens per second and mean TTFT of 16 requests that come together, 128 tokens in, 64 out; 3 rounds."""
    runs = [server.bench(mode, seed + i, concurrency=16, requests=16, prompt_tokens=128, max_tokens=64)
            for i in range(3)]
    return mean([r["generated_tokens_per_second"] for r in runs]), mean([r["ttft_seconds"]["mean"] for r in runs])


def machine():
    about = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", about).group(1)
    kind = "AVX-512 VNNI" if "avx512_vnni" in about else "AVX2 without VNNI"
    return f"{model}, {len(os.sched_getaffinity(0))} processors ({kind})"


def commit():
    return output("git", "-C", ROOT, "describe", "--always", "--dirty").strip()


def write_section(name, text):
    """Puts text between README's lines for this name."""
    readme = ROOT / "README.md"
    page = readme.read_text()
    begin, end = f"<!-- {name} begins -->\n", f"<!-- {name} ends -->\n"
    start = page.index(begin) + len(begin)
    readme.write_text(page[:start] + text + page[page.index(end):])
