#!/usr/bin/python3
"""The tools that install and fetch, without a network and without installing anything."""

import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_BYTES = 98362432


def run(command, **environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)


class FetchModel(Scratch):
    def fetch(self, *arguments):
        nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
        return run([TOOLS / "fetch_model", *arguments],
                   PATH=os.environ["PATH"], HALFTONE_CACHE=str(self.folder), **nowhere)

    def test_without_a_network_it_says_what_to_do_and_leaves_nothing_half_done(self):
        result = self.fetch()
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertIn("make serve MODEL=", result.stderr)
        self.assertEqual([file.name for file in self.folder.iterdir()], ["lock"])

    def test_a_truncated_file_is_not_taken(self):
        (self.folder / MODEL).write_bytes(b"GGUF")
        self.assertEqual(self.fetch().returncode, 1)

    def test_a_file_of_the_right_size_and_wrong_content_is_not_taken(self):
        with open(self.folder / MODEL, "wb") as file:
            file.truncate(MODEL_BYTES)
        self.assertEqual(self.fetch().returncode, 1)

    def test_a_stamp_of_another_time_is_not_believed(self):
        with open(self.folder / MODEL, "wb") as file:
            file.truncate(MODEL_BYTES)
        (self.folder / MODEL).with_suffix(".sha256").write_text(f"b179 {MODEL_BYTES} 1\n")
        self.assertEqual(self.fetch().returncode, 1)

    def test_path_only_names_the_file(self):
        result = self.fetch("--path")
        self.assertEqual((result.returncode, result.stdout), (0, f"{self.folder / MODEL}\n"))


class InstallPackages(Scratch):
    def install(self, *groups, **commands):
        """Runs it where only these commands exist; each is a line of shell."""
        for name in ("bash", "env", "sed", "sort", "comm", "cat", "mktemp", "tail", "rm"):
            (self.folder / name).symlink_to(shutil.which(name))
        for name, line in commands.items():
            script = self.folder / name.replace("_", "-")
            script.write_text(f"#!{shutil.which('bash')}\n{line}\n")
            script.chmod(0o755)
        return run([TOOLS / "install_packages", *groups], PATH=str(self.folder))

    def test_an_unknown_group_is_refused(self):
        self.assertEqual(self.install("everything").returncode, 2)

    def test_nothing_happens_where_all_is_installed(self):
        result = self.install("serve", "test", "check", apt_get="exit 9", id="echo 0",
                              dpkg_query='shift 3; for p in "$@"; do echo "installed $p"; done')
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_a_package_that_was_removed_is_missing(self):
        query = 'shift 3; for p in "$@"; do [ $p = cmake ] && echo "config-files $p" || echo "installed $p"; done'
        result = self.install("serve", apt_get='echo "$@" >>"$0.log"', id="echo 0", dpkg_query=query)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex((self.folder / "apt-get.log").read_text(), r"install -y --no-install-recommends cmake\n$")

    def test_serving_needs_nothing_of_the_tests(self):
        self.install("serve", apt_get='echo "$@" >>"$0.log"', id="echo 0", dpkg_query="exit 1")
        installed = (self.folder / "apt-get.log").read_text()
        self.assertIn("libgrpc++-dev", installed)
        self.assertNotRegex(installed, "gtest|gmock|clang|grpcio")

    def test_without_root_it_says_what_root_must_do(self):
        result = self.install("serve", id="echo 1000", dpkg_query="exit 1")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"apt-get install --no-install-recommends .*cmake")

    def test_sudo_is_used_where_there_is_one(self):
        result = self.install("serve", id="echo 1000", dpkg_query="exit 1", sudo='echo "$@" >>"$0.log"')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex((self.folder / "sudo.log").read_text(), "apt-get .* install -y")

    def test_another_system_is_told_the_names(self):
        result = self.install("serve", id="echo 0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("not a Debian system", result.stderr)

    def test_a_failed_installation_shows_why(self):
        result = self.install("serve", id="echo 0", dpkg_query="exit 1", apt_get="echo no such mirror; exit 100")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no such mirror", result.stderr)


class RunTests(Scratch):
    def setUp(self):
        super().setUp()
        sys.dont_write_bytecode = True
        loader = importlib.machinery.SourceFileLoader("run_tests", str(TOOLS / "run_tests"))
        self.run_tests = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
        loader.exec_module(self.run_tests)

    def test_skipped_cases_are_listed_with_their_reason(self):
        (self.folder / "text_test.xml").write_text(
            '<testsuites><testsuite name="T"><testcase name="Works" classname="T"/>'
            '<testcase name="Reads" classname="T">'
            '<skipped message="a_test.cc:3&#x0A;needs the shared&#x0A; data"/></testcase></testsuite></testsuites>')
        self.assertEqual(list(self.run_tests.skipped_cases(self.folder)), [("T.Reads", "needs the shared data")])

    def test_skipped_scripts_are_listed_with_their_reason(self):
        report = self.folder / "ctest.xml"
        report.write_text('<testsuite><testcase name="prometheus" status="notrun"><system-out>x\nSKIP: no package\n'
                          '</system-out></testcase><testcase name="other" status="run"/></testsuite>')
        self.assertEqual(list(self.run_tests.skipped_scripts(report)), [("prometheus", "no package")])


if __name__ == "__main__":
    unittest.main()
