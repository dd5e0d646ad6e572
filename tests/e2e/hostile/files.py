"""Checkpoints that somebody made to hurt: the server refuses them in a line, or serves them."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import http2
import watch
from harness import LOG_LINE, Failed, Server, attack, check_lines

SECONDS = 8  # of a start, refused or not
FORGED = "tiny\n12:00:00 error forged\x1b[31m"


class Start:
    """One start with a checkpoint: whether it served, or the line that refused it."""

    def __init__(self, rig, path, what, *flags):
        self.what, began = what, time.monotonic()
        server = Server(rig.binaries, rig.folder, path, ("--kv-bytes", "1MiB", *flags))
        try:
            self.served = self.wait(server)
            if self.served:
                with http2.Connection(server.port, patience=3) as connection:
                    rig.expect(connection.call(http2.api("GetServerInfo")), "OK")
                page = watch.ask_http(server.metrics_port, "/metrics", 3)
                rig.check(len(page) < 1 << 20, f"{what}: a page of {len(page)} bytes")
                server.ends(signal.SIGTERM, 5)
            self.judge(server, rig)
        finally:
            server.child.kill()
            server.child.wait()
        rig.figures["slowest_s"] = max(rig.figures.get("slowest_s", 0), round(time.monotonic() - began, 1))

    def wait(self, server):
        """Until it serves (True) or is gone."""
        end = time.monotonic() + SECONDS
        while server.child.poll() is None:
            found = re.search(r" on \S*:(\d+) \(gRPC\) and http://\S*?:(\d+)/metrics", server.text())
            if found:
                server.port, server.metrics_port = int(found[1]), int(found[2])
                return True
            if time.monotonic() > end:
                raise Failed(f"{self.what}: neither served nor refused within {SECONDS} s")
            time.sleep(0.01)
        return False

    def judge(self, server, rig):
        data = server.log.read_bytes()
        status = server.child.returncode
        rig.check(status == 0 if self.served else status > 0, f"{self.what}: it ended with {status}: {server.tail()}")
        rig.check(len(data) < 8192, f"{self.what}: {len(data)} bytes of log")
        try:
            check_lines(data)
        except Failed as failed:
            raise Failed(f"{self.what}: {failed}") from None
        lines = data.decode().splitlines()
        errors = [line for line in lines if LOG_LINE.match(line)[1] == "error"]
        rig.check(not any("forged" in line[:25] for line in lines), f"{self.what}: a forged line: {lines}")
        rig.check(len(errors) == (0 if self.served else 1), f"{self.what}: {len(errors)} lines of error: {lines}")
        self.line = errors[0] if errors else ""
        rig.check(len(self.line) < 1500, f"{self.what}: a line of {len(self.line)} characters")


# -- Hugging Face directories -----------------------------------------------------------------------------------------

class Copy:
    """A copy of the tiny checkpoint, to be changed."""

    def __init__(self, rig):
        self.path = rig.folder / "copy"
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(rig.tiny(), self.path)

    def change(self, name, **values):
        file = self.path / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
        return self.path

    def write(self, name, data):
        (self.path / name).write_bytes(data)
        return self.path


@attack()
def json_too_deep(rig):
    """200,000 opened brackets or braces in each JSON file of a checkpoint."""
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        whole = (rig.tiny() / name).read_bytes().rstrip()
        nested = b"[" * 100000 + b"]" * 100000
        objects = b'{"a":' * 50000 + b"1" + b"}" * 50000
        for data in (b"[" * 200000, b"[" * 3000000, nested, objects, whole[:-1] + b', "x": ' + nested + b"}",
                     whole[:-1] + b', "model": ' + objects + b"}"):
            Start(rig, Copy(rig).write(name, data), f"{name} of {data[:10]!r} and {data[-10:]!r}")


@attack()
def json_broken(rig):
    """Each JSON file empty, cut, of another type, not UTF-8, with NUL bytes, with a string of 5 MB."""
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        whole = (rig.tiny() / name).read_bytes()
        for data in (b"", whole[:len(whole) // 2], b"[]", b"5", b'"x"', b"null", b"\xff\xfe" + whole, b"\x00" * 100,
                     b'{"' + b"k" * 5000000 + b'": 1}', whole + b"}"):
            Start(rig, Copy(rig).write(name, data), f"{name} of {data[:10]!r}")


@attack()
def config_absurd(rig):
    """Sizes in config.json that are zero, negative, enormous, fractions, texts, or do not agree."""
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim",
             "intermediate_size", "vocab_size", "max_position_embeddings")
    for name in sizes:
        for value in (0, -1, 1 << 24, 1 << 62, 10**30, "5", None):
            Start(rig, Copy(rig).change("config.json", **{name: value}), f"{name} = {value!r}")


@attack()
def config_floats_absurd(rig):
    """Numbers of config.json that are no number, or zero, or have the wrong sign."""
    for name in ("rms_norm_eps", "rope_theta", "sliding_window", "bos_token_id", "eos_token_id"):
        for value in (0, -1, float("nan"), 1e308, [-1], [1 << 40] * 1000):
            Start(rig, Copy(rig).change("config.json", **{name: value}), f"{name} = {str(value)[:20]}")
    for scaling in ({"type": "linear", "factor": 0}, {"rope_type": "llama3"}, {"type": FORGED}, [], {"type": "linear",
                    "factor": float("nan")}, {"rope_type": "yarn", "factor": 1e300}):
        Start(rig, Copy(rig).change("config.json", rope_scaling=scaling), f"rope_scaling = {scaling}")


@attack()
def names_absurd(rig):
    """Names with newlines, escapes, broken UTF-8 and 1 MB: of model, architecture, template, tokens, directory."""
    long = "n" * (1 << 20)
    for text in (FORGED, "\x00\x07\x1b]0;x\x07", "\ud800", long):
        for name in ("model_type", "_name_or_path", "hidden_act", "architectures"):
            Start(rig, Copy(rig).change("config.json", **{name: text}), f"{name} = {text[:20]!r}")
        for name in ("chat_template", "bos_token", "eos_token", "tokenizer_class"):
            Start(rig, Copy(rig).change("tokenizer_config.json", **{name: text}), f"{name} = {text[:20]!r}")
    for name in (b"\xff\xfe", b"a\nb error forged", b"\x1b[31m", b"n" * 200):
        path = Copy(rig).path
        moved = bytes(rig.folder) + b"/" + name
        pathlib.Path(path).rename(moved.decode("utf-8", "surrogateescape"))
        Start(rig, moved.decode("utf-8", "surrogateescape"), f"a directory called {name!r}")


@attack()
def tokenizer_absurd(rig):
    """Merges, vocabularies and added tokens that are empty, twice, out of range, too many, or nothing."""
    whole = json.loads((rig.tiny() / "tokenizer.json").read_text())

    def start(what, **model):
        Start(rig, Copy(rig).change("tokenizer.json", model={**whole["model"], **model}), what)
    vocabulary = whole["model"]["vocab"]
    start("no vocabulary", vocab={})
    start("ids beyond everything", vocab={**vocabulary, "far": 1 << 40})
    start("ids below zero", vocab={**vocabulary, "far": -5})
    start("one id for all", vocab={key: 5 for key in vocabulary})
    start("a long piece", vocab={**vocabulary, "x" * 3000000: 5})
    start("merges of nothing", merges=["a", "", " ", "a b c", "zz qq"])
    start("merges a hundred thousand times", merges=["e t"] * 100000)
    start("merges of numbers", merges=[5, None, ["a"], ["a", "b", "c"]])
    for token in ({"id": 1 << 33, "content": "x"}, {"id": -1, "content": "x"}, {"id": 0, "content": ""},
                  {"id": 5, "content": FORGED, "special": True}, {"content": "x"}, 5,
                  {"id": 300, "content": "y" * 9**6}):
        Start(rig, Copy(rig).change("tokenizer.json", added_tokens=[token]), f"added {str(token)[:40]}")
    for part in ("pre_tokenizer", "normalizer", "decoder", "post_processor"):
        for value in ({"type": FORGED}, [], 5, {"type": "Sequence"}, {"type": "Sequence", "pretokenizers": [{}] * 9999},
                      {"type": "Split", "pattern": {"Regex": "(a*)*b" * 1000}, "behavior": "Isolated"}):
            Start(rig, Copy(rig).change("tokenizer.json", **{part: value}), f"{part} = {str(value)[:40]}")


@attack()
def safetensors_absurd(rig):
    """Headers of safetensors that lie about their length, their offsets, their shapes and their types."""
    whole = (rig.tiny() / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8:8 + size]), whole[8 + size:]

    def start(what, content):
        Start(rig, Copy(rig).write("model.safetensors", content), what)
    for claimed in (0, 1, size - 1, size + 1, 1 << 31, 1 << 40, (1 << 64) - 1):
        start(f"a header of {claimed} bytes", struct.pack("<Q", claimed) + whole[8:])
    for cut in (0, 4, 8, 100, 8 + size, len(whole) - 1, len(whole) // 2):
        start(f"cut at {cut}", whole[:cut])
    name = "model.norm.weight"
    entry = header[name]
    for change in ({"data_offsets": [0, 1 << 62]}, {"data_offsets": [-1, 5]}, {"data_offsets": [5, 0]},
                   {"data_offsets": []}, {"shape": [1 << 32, 1 << 32]}, {"shape": [-1]}, {"shape": []},
                   {"shape": [1] * 1000}, {"dtype": FORGED}, {"dtype": "F8_E4M3"}, {"dtype": 5}):
        text = json.dumps({**header, name: {**entry, **change}}).encode()
        start(f"{change}", struct.pack("<Q", len(text)) + text + data)
    text = json.dumps({**header, FORGED: entry}).encode()
    start("a tensor with a forged name", struct.pack("<Q", len(text)) + text + data)
    deep = b"[" * 300000
    start("a deep header", struct.pack("<Q", len(deep)) + deep)


# -- GGUF files -------------------------------------------------------------------------------------------------------

def gguf(rig):
    path = rig.folder / "tiny.gguf"
    if not path.exists():
        subprocess.run([rig.binaries / "write_tiny_checkpoint", path], check=True)
    return path.read_bytes()


def start_gguf(rig, data, what):
    path = rig.folder / "changed.gguf"
    path.write_bytes(data)
    return Start(rig, path, what)


def replaced(whole, key, old_size, value):
    """The file with the bytes after a key of its metadata changed, from the type on."""
    at = whole.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key)
    return whole[:at] + value + whole[at + old_size:]


def text_value(data, old):
    """A text that leaves the tensors where they are aligned: of the old length, or longer by some times 32 bytes."""
    data += b"n" * ((old - len(data)) % 32)
    return struct.pack("<IQ", 8, len(data)) + data


def text_size(whole, key):
    """Bytes of type, length and text of a key that holds a text."""
    at = whole.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key)
    return 12 + struct.unpack("<Q", whole[at + 4:at + 12])[0]


@attack(short=True)
def gguf_names(rig):
    """general.name and general.architecture with newlines, escapes, broken UTF-8, of 1 MB, empty."""
    whole = gguf(rig)
    for key in ("general.architecture", "general.name"):
        if key.encode() not in whole:
            continue
        size = text_size(whole, key)
        for text in (FORGED.encode(), b"\xff\xfe\x80", b"n" * (1 << 20), b"", b"\x00\x1b]0;x\x07", b"gpt7"):
            start = start_gguf(rig, replaced(whole, key, size, text_value(text, size - 12)), f"{key} = {text[:9]!r}")
            rig.check(start.served or key == "general.architecture", f"a name of {text[:9]!r}: {start.line}")
            if key == "general.architecture" and text == b"gpt7":
                rig.check("gpt7" in start.line and "llama" in start.line, f"the line does not say which: {start.line}")


@attack()
def gguf_counts(rig):
    """Versions, counts of tensors and of keys, lengths of texts and arrays, from zero to 2^64 - 1."""
    whole = gguf(rig)
    for value in (0, 1, 2, 4, 0xffffffff, 3 << 24):
        start_gguf(rig, whole[:4] + struct.pack("<I", value) + whole[8:], f"version {value}")
    for at in (8, 16):
        for value in (0, 1, 1 << 20, 1 << 31, 1 << 40, (1 << 64) - 1):
            start_gguf(rig, whole[:at] + struct.pack("<Q", value) + whole[at + 8:], f"count at {at}: {value}")
    key = "tokenizer.ggml.tokens"
    at = whole.index(key.encode()) + len(key)
    for value in (0, 1 << 24, 1 << 33, 1 << 60, (1 << 64) - 1):
        start_gguf(rig, whole[:at + 8] + struct.pack("<Q", value) + whole[at + 16:], f"{value} tokens")
        start_gguf(rig, whole[:at + 16] + struct.pack("<Q", value) + whole[at + 24:], f"a token of {value} bytes")
    for kind in (0, 9, 12, 13, 0xffffffff):
        start_gguf(rig, whole[:at + 4] + struct.pack("<I", kind) + whole[at + 8:], f"an array of type {kind}")


@attack()
def gguf_numbers(rig):
    """The numbers of a model's shape, each as zero and as far too many."""
    whole = gguf(rig)
    for key in ("context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "rope.dimension_count", "vocab_size"):
        key = "llama." + key
        if struct.pack("<Q", len(key)) + key.encode() not in whole:
            continue
        for value in (0, 3, 1 << 24, 1 << 30, 0xffffffff):
            start_gguf(rig, replaced(whole, key, 8, struct.pack("<II", 4, value)), f"{key} = {value}")


@attack()
def gguf_nested_arrays(rig):
    """Arrays in arrays a hundred thousand deep, and a sparse file with an array of 1 GiB."""
    whole = gguf(rig)
    key = b"evil"
    head = whole[:16] + struct.pack("<Q", struct.unpack("<Q", whole[16:24])[0] + 1) + struct.pack("<Q", 4) + key
    nested = struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100000 + struct.pack("<IQ", 0, 0)
    start_gguf(rig, head + nested + whole[24:], "arrays in arrays")
    path = rig.folder / "changed.gguf"
    for kind, size in ((0, 1), (4, 4), (8, 8), (10, 8)):
        count = (1 << 30) // size
        path.write_bytes(head + struct.pack("<IIQ", 9, kind, count))
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size + (1 << 30))  # sparse: zeros that no disk holds
            file.seek(0, 2)
            file.write(whole[24:])
        Start(rig, path, f"an array of 1 GiB of type {kind}")
    path.unlink()


@attack()
def gguf_cut_and_mutated(rig):
    """The file cut at 30 places, and 60 times with some random bytes in its first part."""
    whole, dice = gguf(rig), random.Random(9)
    for at in range(30):
        start_gguf(rig, whole[:len(whole) * at // 30], f"cut at {at} thirtieths")
    for number in range(60):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 20)):
            data[dice.randrange(min(len(data), 9000))] = dice.randrange(256)
        start_gguf(rig, bytes(data), f"mutation {number}")


@attack()
def no_checkpoint_at_all(rig):
    """Paths that are a device, a pipe, a directory of nothing, a link to itself, a pointer of Git LFS, too long."""
    fifo, loop, empty = rig.folder / "fifo.gguf", rig.folder / "loop.gguf", rig.folder / "empty"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    empty.mkdir()
    pointer = rig.folder / "pointer.gguf"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n")
    for path in ("/dev/null", "/dev/zero", "/proc/self/mem", fifo, loop, empty, pointer, "x" * 300, "", "\n", "/"):
        Start(rig, path, f"{str(path)[-30:]!r}")
