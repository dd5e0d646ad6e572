#!/usr/bin/python3
"""Numbers that no flag of the measuring programs could mean are refused before they measure.

    measuring_flags_test.py FOLDER_OF_BINARIES
"""

import pathlib
import subprocess
import sys
import unittest

BINARIES = pathlib.Path(sys.argv[1])


class Flags(unittest.TestCase):
    def refused(self, program, *words):
        result = subprocess.run([BINARIES / program, *words], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout), (2, ""), words)
        self.assertIn(words[-2], result.stderr)

    def test_of_op_bench(self):
        for flag, values in {"--threads": ("-1", "257", "two", "1e3", ""), "--shapes": ("none",),
                             "--seconds": ("nan", "inf", "0", "-1", "1e9")}.items():
            for value in values:
                self.refused("op_bench", flag, value)

    def test_of_halftone_lab(self):
        for flag, values in {"--windows": ("-1", "nan", "1e30"), "--window-tokens": ("-1", "nan", "16777217"),
                             "--threads": ("-1", "257", "nan")}.items():
            for value in values:
                self.refused("halftone-lab", "evaluate", "--model", "x", "--text", "x", flag, value)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
