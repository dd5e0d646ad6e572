#!/usr/bin/env python3
"""docs/ADD_A_FORMAT.md taken at its word: its files and lines in a copy of the tree build and pass the conformance
suite.   add_a_format_test.py SOURCE_DIR"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(sys.argv[1]).resolve()
FOLDER = "kernels/weights/w6/"
TESTS = ("weights_test", "cpu_test")
COPIED = ("CMakeLists.txt", "CMakePresets.json", "cmake", "system", "kernels", "tests/kernels")


def blocks(text):
    """(path, language, content) of each fenced block that follows a line with a path."""
    return re.findall(r"^`([\w/.]+)`\n```(\w+)\n(.*?)^```", text, re.M | re.S)


def apply_diff(path, diff):
    """Adds the lines with + after the line that begins like the one shown before them. Returns how many."""
    lines, anchor, added = path.read_text().splitlines(), None, 0
    for line in diff.splitlines():
        if line.startswith("+"):
            lines.insert(anchor + 1, line[1:])
            anchor, added = anchor + 1, added + 1
            continue
        found = [i for i, old in enumerate(lines) if old.startswith(line[1:])]
        assert len(found) == 1, f"{path}: {len(found)} lines begin with {line[1:]!r}"
        anchor = found[0]
    path.write_text("\n".join(lines) + "\n")
    return added


def main():
    page = (SOURCE / "docs/ADD_A_FORMAT.md").read_text()
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        for name in COPIED:
            copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copy
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            copy(SOURCE / name, tree / name)
        # Only what the conformance suite needs.
        (tree / "tests/CMakeLists.txt").write_text(
            "add_subdirectory(kernels)\nadd_subdirectory(kernels/cpu)\nadd_subdirectory(kernels/weights)\n")
        outside = 0
        for path, language, content in blocks(page):
            target = tree / path
            if language == "diff":
                outside += apply_diff(target, content)
                continue
            assert path.startswith(FOLDER), path
            target.parent.mkdir(exist_ok=True)
            target.write_text(content)
        assert 0 < outside <= 5, f"{outside} lines change outside the new folder"

        environment = dict(os.environ, CCACHE_BASEDIR=str(tree), CCACHE_NOHASHDIR="1")
        run = lambda *words: subprocess.run(words, check=True, env=environment)
        run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
            "-DHALFTONE_TESTS=ON")
        run("cmake", "--build", tree / "build", "--target", *TESTS)
        for test in TESTS:
            listed = subprocess.run([tree / "build/tests" / test, "--gtest_list_tests"], check=True, text=True,
                                    capture_output=True).stdout
            assert "w6" in listed, f"{test} does not know the new format"
            run(tree / "build/tests" / test, "--gtest_brief=1", "--gtest_filter=*w6*:WeightFormats.*")
    print(f"w6: a new folder and {outside} lines elsewhere")


main()
