#!/usr/bin/env python3
"""docs/ADD_A_MODEL.md taken at its word: the one file of a family, in a copy of the tree, is all that a checkpoint
of it needs to run.   add_a_model_test.py SOURCE_DIR"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(sys.argv[1]).resolve()
FAMILY = "seed_oss"
LIKE_IT = "llama_attention_bias"  # a golden of the same computation, under another family's name
COPIED = ("CMakeLists.txt", "CMakePresets.json", "cmake", "system", "kernels", "server", "lab", "proto")


def evaluate(lab, model, folder):
    """What the exact weights make of a text, without what depends on the model's name and the machine."""
    text, out = folder / "text.txt", folder / f"{model.name}.json"
    text.write_text("It was a dark and stormy night; the rain fell in torrents, except at occasional intervals. " * 4)
    subprocess.run([lab, "evaluate", "--model", model, "--text", text, "--modes", "f32", "--windows", "1",
                    "--window-tokens", "64", "--threads", "1", "--json", out, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())["modes"][0]["perplexity"]


def main():
    page = (SOURCE / "docs/ADD_A_MODEL.md").read_text()
    blocks = re.findall(r"^`([\w/.]+)`\n```cpp\n(.*?)^```", page, re.M | re.S)
    assert [path for path, _ in blocks] == [f"server/architecture/families/{FAMILY}.cc"], "one file, and no other"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tree = folder / "tree"
        for part in COPIED:
            copy = shutil.copytree if (SOURCE / part).is_dir() else shutil.copy
            tree.mkdir(exist_ok=True)
            copy(SOURCE / part, tree / part)
        for path, content in blocks:
            (tree / path).write_text(content)
        environment = dict(os.environ, CCACHE_BASEDIR=str(tree), CCACHE_NOHASHDIR="1")
        run = lambda *words: subprocess.run(words, check=True, env=environment)
        run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",  # quickly built
            "-DHALFTONE_TESTS=OFF", "-DHALFTONE_CUDA=OFF")
        run("cmake", "--build", tree / "build", "--target", "halftone-lab")

        known = SOURCE / "tests/golden" / LIKE_IT
        renamed = folder / FAMILY
        shutil.copytree(known, renamed)
        config = json.loads((renamed / "config.json").read_text())
        config |= dict(model_type=FAMILY, architectures=["SeedOssForCausalLM"])
        (renamed / "config.json").write_text(json.dumps(config))
        lab = tree / "build/bin/halftone-lab"
        expected, got = evaluate(lab, known, folder), evaluate(lab, renamed, folder)
        assert got == expected, f"{FAMILY} has perplexity {got}, {LIKE_IT} {expected}"
    print(f"{FAMILY}: one new file, perplexity {got}")


main()
