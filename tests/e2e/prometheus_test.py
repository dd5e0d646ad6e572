#!/usr/bin/python3
"""A real Prometheus scrapes the server every second while it works; what Prometheus knows is what the client counted.

    prometheus_test.py FOLDER_OF_BINARIES

Prometheus is Debian's package, downloaded and unpacked into the cache directory, never installed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

import served

LOAD_SECONDS = 15
MODES = ["w4a16", "w4a16+kv8"]


def prometheus_tools():
    """The folder of prometheus and promtool, or a skip where the package cannot be had."""
    home = served.cache_directory() / "prometheus"
    tools = home / "usr/bin"
    if (tools / "promtool").exists():
        return tools
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetch-") as scratch:
        def apt(*words):
            return subprocess.run(["apt-get", "-q", *words], cwd=scratch, capture_output=True, text=True, check=False)
        try:
            result = apt("download", "prometheus")
            if result.returncode != 0 and os.geteuid() == 0:
                apt("update")
                result = apt("download", "prometheus")
        except FileNotFoundError:
            served.skip("needs apt-get for Debian's package of prometheus")
        if result.returncode != 0:
            served.skip("needs Debian's package of prometheus: " + " ".join(result.stderr.split()))
        package = next(pathlib.Path(scratch).glob("prometheus_*.deb"))
        subprocess.run(["dpkg", "-x", package, f"{scratch}/unpacked"], check=True)
        try:
            os.rename(f"{scratch}/unpacked", home)
        except OSError:  # somebody else was faster
            assert (tools / "promtool").exists()
    return tools


class Prometheus(served.Process):
    def __init__(self, tools, target_port, folder):
        config = pathlib.Path(folder) / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: halftone, static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]}}]\n")
        self.port = served.free_port()
        super().__init__("prometheus", [
            tools / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}", f"--web.console.templates={folder}",
            f"--web.console.libraries={folder}"])

    def __enter__(self):
        super().__enter__()
        self.wait_ready(f"http://127.0.0.1:{self.port}/-/ready", 60)
        return self

    def query(self, expression):
        """The instant vector of a PromQL expression: [(labels, value)]."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        answer = json.loads(served.fetch(url))
        assert answer["status"] == "success", answer
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def number(self, expression):
        rows = self.query(expression)
        assert len(rows) == 1, f"{expression} has {len(rows)} rows"
        return rows[0][1]


SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def series_of_page(page):
    """The identity of every series of the text: (name, labels)."""
    return {(found[1], frozenset(LABEL.findall(found[2] or "")))
            for found in filter(None, map(SAMPLE.match, page.splitlines()))}


def series_of_prometheus(rows):
    return {(labels.pop("__name__"), frozenset((k, v) for k, v in labels.items() if k not in ("job", "instance")))
            for labels, _ in rows if labels.get("__name__", "").startswith("llm_")}


def check_page(tools, page):
    """promtool finds nothing to say about names, types, help or format."""
    result = subprocess.run([tools / "promtool", "check", "metrics"], input=page, capture_output=True, text=True,
                            check=False)
    assert result.returncode == 0 and not result.stdout + result.stderr, result.stdout + result.stderr
    series = {name for name, _ in series_of_page(page)}
    assert all(name.startswith("llm_") for name in series) and len(series) > 30, sorted(series)


def load(binaries, port):
    """Requests in every mode for LOAD_SECONDS: {mode: what the client counted}."""
    counted = {mode: {"requests_completed": 0, "generated_tokens_total": 0, "prompt_tokens_total": 0} for mode in MODES}
    end, seed = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end:
        for mode in MODES:
            seed += 1  # fresh prompts: nothing of them is in the prefix cache
            result = subprocess.run(
                [f"{binaries}/halftone", "--server", f"127.0.0.1:{port}", "bench", "--json", "--mode", mode,
                 "--concurrency", "4", "--requests", "4", "--prompt-tokens", "16", "--max-tokens", "8",
                 "--seed", str(seed)],
                capture_output=True, text=True, check=True)
            report = json.loads(result.stdout)
            assert report["errors"] == {}, report["errors"]
            for name in counted[mode]:
                counted[mode][name] += report[name]
    return counted


def check_counts(prometheus, counted, seconds):
    """The series count what the client counted, exactly; so do the rates over the whole run, but for their edges."""
    for mode, client in counted.items():
        ours = f'{{mode="{mode}"}}'
        pairs = [
            (f'llm_requests_total{{mode="{mode}",code="OK"}}', client["requests_completed"]),
            (f"llm_generated_tokens_total{ours}", client["generated_tokens_total"]),
            (f"llm_prompt_tokens_total{ours}", client["prompt_tokens_total"]),
            (f"llm_time_to_first_token_seconds_count{ours}", client["requests_completed"]),
            (f"llm_inter_token_latency_seconds_count{ours}",
             client["generated_tokens_total"] - client["requests_completed"]),
        ]
        for series, expected in pairs:
            found = prometheus.number(f"sum({series})")
            assert found == expected, f"{series} is {found:.0f}, the client counted {expected}"
        rate = prometheus.number(f"sum(rate(llm_generated_tokens_total{ours}[{seconds}s]))")
        expected = client["generated_tokens_total"] / seconds
        assert abs(rate - expected) <= 0.1 * expected, f"{mode}: {rate} tokens/s, the client counted {expected}"
        print(f"{mode}: {client['requests_completed']} requests, {rate:.2f} generated tokens/s (client {expected:.2f})")


def main():
    binaries = sys.argv[1]
    model, tools = served.default_model(), prometheus_tools()
    with tempfile.TemporaryDirectory() as folder, served.Server(binaries, model, ",".join(MODES)) as server, \
            Prometheus(tools, server.metrics_port, folder) as prometheus:
        served.wait_until(lambda: prometheus.query("count_over_time(up[10s]) > 2"), 20, "the third scrape")
        began = time.monotonic()
        counted = load(binaries, server.port)
        time.sleep(2.5)  # two scrapes of the idle server: the page is what Prometheus has
        page = server.metrics()
        check_page(tools, page)
        known = series_of_prometheus(prometheus.query('{job="halftone"}'))
        assert known == series_of_page(page), f"on one side only: {sorted(known ^ series_of_page(page))}"
        seconds = int(time.monotonic() - began) + 2
        assert prometheus.number(f"min_over_time(up[{seconds}s])") == 1, "a scrape failed"
        assert prometheus.number(f"count_over_time(up[{seconds}s])") >= LOAD_SECONDS, "a scrape is missing"
        check_counts(prometheus, counted, seconds)
        print(f"{len(known)} series, all known to Prometheus")
        assert server.stop() == 0, "the server did not stop cleanly"


if __name__ == "__main__":
    main()
