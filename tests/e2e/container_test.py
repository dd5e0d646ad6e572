#!/usr/bin/python3
"""A server in a control group takes as many threads and as much memory as the group may have, and says so.

    container_test.py FOLDER_OF_BINARIES

Groups are made up where none can be made; what a real one allows is tried where one can.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import served

BINARIES = pathlib.Path(sys.argv[1])
FOLDER = tempfile.TemporaryDirectory()
GIB = 1 << 30
CLIENTS = 100


def setUpModule():
    unittest.addModuleCleanup(FOLDER.cleanup)
    subprocess.run([BINARIES / "write_tiny_checkpoint", FOLDER.name + "/tiny.gguf"], check=True)


def memory_by_category(server):
    found = {}
    for category, count in re.findall(r'^llm_memory_bytes\{.*?category="(\w+)".*\} (\S+)$', server.metrics(), re.M):
        found[category] = found.get(category, 0) + float(count)
    return found


def threads(server):
    result = subprocess.run([BINARIES / "halftone", "info", "--json", "--server", f"127.0.0.1:{server.port}"],
                            capture_output=True, text=True, timeout=60, check=True)
    return json.loads(result.stdout)["server"]["devices"][0]["threads"]


class MadeUp(unittest.TestCase):
    def system(self, files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, text in files.items():
            path = pathlib.Path(folder.name + name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder.name

    def version2(self, limit, used, cached, quota="50000 100000"):
        mount = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        return self.system({
            "/proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 60000000 kB\n", "/proc/self/mountinfo": mount,
            "/proc/self/cgroup": "0::/pod/server\n", "/sys/fs/cgroup/pod/memory.max": f"{limit}\n",
            "/sys/fs/cgroup/pod/memory.current": f"{used}\n",
            "/sys/fs/cgroup/pod/memory.stat": f"inactive_file {cached}\nactive_file 0\n",
            "/sys/fs/cgroup/pod/server/memory.max": "max\n", "/sys/fs/cgroup/pod/server/cpu.max": f"{quota}\n"})

    def test_the_arena_and_the_threads_follow_the_groups(self):
        root = self.version2(limit=256 << 20, used=200 << 20, cached=100 << 20)
        with served.Server(BINARIES, FOLDER.name + "/tiny.gguf", "w4a16", "--system-root", root) as server:
            self.assertRegex(server.output(), r"info 1 of \d+ processors( by cgroup quota)?; "
                                              r"0\.2 GiB of memory, 0\.2 free\n")
            self.assertEqual(threads(server), 1)
            arena = memory_by_category(server)["kv_cache"]
            self.assertLessEqual(arena, (156 << 20) / 4)
            self.assertGreater(arena, (156 << 20) / 4 * 0.9)

    def test_a_group_without_room_is_a_line_that_says_what_is_needed(self):
        root = self.version2(limit=256 << 20, used=256 << 20, cached=100 << 10)
        result = subprocess.run(
            [BINARIES / "halftone-server", "--model", FOLDER.name + "/tiny.gguf", "--port", "0", "--metrics-port", "0"],
            capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "HALFTONE_SYSTEM_ROOT": root})
        self.assertEqual(result.returncode, 1)
        said = [line for line in (result.stdout + result.stderr).splitlines() if " info " not in line]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], r"not enough memory: .* 0\.1 MB are free; .*--modes")

    def test_broken_files_limit_nothing(self):
        root = self.version2(limit="\0\xff", used="-", cached="", quota="nan inf")
        with served.Server(BINARIES, FOLDER.name + "/tiny.gguf", "w4a16", "--kv-bytes", "1MiB", "--system-root",
                           root) as server:
            self.assertRegex(server.output(),
                             r"info \d+ of \d+ processors( by affinity)?; 64\.0 GiB of memory, 57\.2 free")


@contextlib.contextmanager
def folders(*paths):
    made = []
    try:
        for path in paths:
            path.mkdir()
            made.append(path)
        yield
    finally:
        for path in made:
            path.rmdir()


def write(path, text):
    path.write_text(str(text))


@contextlib.contextmanager
def real_group(memory, quota):
    """Folders of a new group, by what they limit, and the names of the files there; None where none can be made."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    name = f"halftone-test-{os.getpid()}"

    def mounted(kind, word):
        for fields in mounts:
            dash = fields.index("-")
            if fields[dash + 1] == kind and fields[3] == "/" and word in fields[dash + 3].split(","):
                return pathlib.Path(fields[4])
        return None
    with contextlib.ExitStack() as stack:
        try:
            unified, old, cpu = mounted("cgroup2", "rw"), mounted("cgroup", "memory"), mounted("cgroup", "cpu")
            if unified and {"cpu", "memory"} <= set((unified / "cgroup.controllers").read_text().split()):
                write(unified / "cgroup.subtree_control", "+cpu +memory")
                group = unified / name
                stack.enter_context(folders(group))
                write(group / "memory.max", memory)
                write(group / "cpu.max", f"{quota * 100000} 100000")
                found = ([group], group / "memory.peak", group / "memory.max")
            elif old and cpu:
                stack.enter_context(folders(old / name, cpu / name))
                write(old / name / "memory.limit_in_bytes", memory)
                write(cpu / name / "cpu.cfs_period_us", 100000)
                write(cpu / name / "cpu.cfs_quota_us", quota * 100000)
                found = ([old / name, cpu / name], old / name / "memory.max_usage_in_bytes",
                         old / name / "memory.limit_in_bytes")
            else:
                found = None
        except OSError as error:
            print(f"no control group can be made here: {error}")
            found = None
        yield found


class Real(unittest.TestCase):
    def test_a_gibibyte_and_a_hundred_clients(self):
        quota = 2 if len(os.sched_getaffinity(0)) > 2 else 1
        with real_group(GIB, quota) as group:
            if group is None:
                self.skipTest("needs the right to make control groups of memory and cpu")
            try:
                model = served.default_model()
            except SystemExit:
                self.skipTest("needs the default model (tools/fetch_model)")
            places, peak, limit = group
            join = "".join(f"echo $$ > {place}/cgroup.procs && " for place in places) + 'exec "$@"'
            server = served.Server(BINARIES, model, "w4a16,w4a16+kv8")
            server.command = ["sh", "-c", join, "sh", *server.command]
            with server:
                self.assertRegex(server.output(), rf"info {quota} of \d+ processors by cgroup quota; "
                                                  r"1\.0 GiB of memory, (1\.0|0\.\d) free\n")
                self.assertEqual(threads(server), quota)
                self.assertLess(sum(memory_by_category(server).values()), 0.8 * GIB)
                bench = subprocess.run(
                    [BINARIES / "halftone", "--server", f"127.0.0.1:{server.port}", "bench", "--concurrency",
                     str(CLIENTS), "--requests", str(CLIENTS), "--prompt-tokens", "8", "--max-tokens", "2"],
                    check=False, capture_output=True, text=True, timeout=240)
                self.assertEqual(bench.returncode, 0, bench.stderr)
                self.assertIn(f"{CLIENTS} requests complete", bench.stdout)
                self.assertIsNone(server.child.poll(), "the system ended it")
                if peak.exists():
                    print(f"at most {int(peak.read_text()) >> 20} MiB of {int(limit.read_text()) >> 20}")
                    self.assertLessEqual(int(peak.read_text()), GIB)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False).result
    if result.wasSuccessful() and result.skipped:
        served.skip(f"{result.skipped[0][1]}; the made-up groups passed")
    sys.exit(not result.wasSuccessful())
