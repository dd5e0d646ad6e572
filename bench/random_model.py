#!/usr/bin/env python3
"""Writes a llama of random Q4_1 weights as a GGUF file: the shape of a real model, where no real one is at hand. Its
answers mean nothing; its bytes and its arithmetic are those of the model that it is shaped like.

    bench/random_model.py 1b|8b|tiny FILE.gguf
"""

import argparse
import array
import random
import struct

SHAPES = {  # layers, dim, heads, kv heads, head dim, ffn, vocabulary, context, head tied to the embedding
    "tiny": (2, 128, 4, 2, 32, 256, 512, 4096, True),
    "1b": (16, 2048, 32, 8, 64, 8192, 128256, 8192, True),  # Llama 3.2 1B
    "8b": (32, 4096, 32, 8, 128, 14336, 128256, 8192, False),  # Llama 3.1 8B
}
F32, Q4_1 = 0, 3
BLOCK, BLOCK_BYTES = 32, 20
STOCK_BLOCKS = 50021  # a prime: no two rows of a matrix begin alike
U32, F32_VALUE, BOOL, TEXT, ARRAY, I32 = 4, 6, 7, 8, 9, 5


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def array_of(kind, count, data):
    return struct.pack("<IQ", kind, count) + data


def letters():
    """The 256 letters that byte-level tokenizers spell bytes with."""
    itself = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    other = iter(range(0x100, 0x200))
    return [chr(b) if b in itself else chr(next(other)) for b in range(256)]


def metadata(shape):
    layers, dim, heads, kv_heads, head_dim, ffn, vocabulary, context, _ = shape
    names = ["<|begin|>", "<|end|>", *letters(), "th"]
    pieces = names + [f"[unused{i}]" for i in range(len(names), vocabulary)]
    types = [3, 3] + [1] * 257 + [5] * (vocabulary - len(names))
    numbers = {"block_count": layers, "context_length": context, "embedding_length": dim, "feed_forward_length": ffn,
               "attention.head_count": heads, "attention.head_count_kv": kv_heads, "attention.key_length": head_dim,
               "attention.value_length": head_dim, "rope.dimension_count": head_dim}
    keys = [key("general.architecture", TEXT, text("llama")), key("general.name", TEXT, text("random"))]
    keys += [key(f"llama.{name}", U32, struct.pack("<I", value)) for name, value in numbers.items()]
    keys += [key("llama.attention.layer_norm_rms_epsilon", F32_VALUE, struct.pack("<f", 1e-5)),
             key("llama.rope.freq_base", F32_VALUE, struct.pack("<f", 500000.0)),
             key("tokenizer.ggml.model", TEXT, text("gpt2")), key("tokenizer.ggml.pre", TEXT, text("gpt-2")),
             key("tokenizer.ggml.tokens", ARRAY, array_of(TEXT, vocabulary, b"".join(map(text, pieces)))),
             key("tokenizer.ggml.token_type", ARRAY, array_of(I32, vocabulary, struct.pack(f"<{vocabulary}i", *types))),
             key("tokenizer.ggml.merges", ARRAY, array_of(TEXT, 1, text("t h"))),
             key("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 0)),
             key("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 1)),
             key("tokenizer.ggml.add_bos_token", BOOL, b"\0")]
    return keys


def tensors(shape):
    layers, dim, heads, kv_heads, head_dim, ffn, vocabulary, _, tied = shape
    yield "token_embd.weight", (dim, vocabulary)
    for i in range(layers):
        for name, sizes in {"attn_norm": (dim,), "attn_q": (dim, heads * head_dim),
                            "attn_k": (dim, kv_heads * head_dim), "attn_v": (dim, kv_heads * head_dim),
                            "attn_output": (heads * head_dim, dim),
                            "ffn_norm": (dim,), "ffn_gate": (dim, ffn), "ffn_up": (dim, ffn),
                            "ffn_down": (ffn, dim)}.items():
            yield f"blk.{i}.{name}.weight", sizes
    yield "output_norm.weight", (dim,)
    if not tied:
        yield "output.weight", (dim, vocabulary)


def tensor_bytes(sizes):
    return sizes[0] * 4 if len(sizes) == 1 else sizes[0] * sizes[1] // BLOCK * BLOCK_BYTES


def stock(inputs, seed):
    """Random blocks whose values have mean 0 and deviation 1 / sqrt(inputs), so that activations keep their size."""
    source = random.Random(seed)
    step = inputs**-0.5 / 4.6  # of codes 0 to 15, evenly spread
    head = struct.pack("<ee", step, -7.5 * step)
    return b"".join(head + source.randbytes(16) for _ in range(STOCK_BLOCKS))


class Stock:
    """Endless blocks for matrices of so many inputs."""

    def __init__(self):
        self.of, self.at = {}, 0

    def write(self, out, inputs, blocks):
        data = self.of.setdefault(inputs, None) or stock(inputs, inputs)
        self.of[inputs] = data
        while blocks > 0:
            count = min(blocks, STOCK_BLOCKS - self.at)
            out.write(data[self.at * BLOCK_BYTES:(self.at + count) * BLOCK_BYTES])
            self.at = (self.at + count) % STOCK_BLOCKS
            blocks -= count


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("file")
    given = arguments.parse_args()
    shape = SHAPES[given.shape]
    keys, all_tensors = metadata(shape), list(tensors(shape))
    entries, offset = [], 0
    for name, sizes in all_tensors:
        kind = F32 if len(sizes) == 1 else Q4_1
        entries.append(text(name) + struct.pack("<I", len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes) +
                       struct.pack("<IQ", kind, offset))
        offset += (tensor_bytes(sizes) + 31) // 32 * 32
    with open(given.file, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(all_tensors), len(keys)) + b"".join(keys) + b"".join(entries))
        out.write(bytes(-out.tell() % 32))
        blocks = Stock()
        for _, sizes in all_tensors:
            if len(sizes) == 1:
                out.write(array.array("f", [1.0] * sizes[0]).tobytes())
            else:
                blocks.write(out, sizes[0], sizes[0] * sizes[1] // BLOCK)
            out.write(bytes(-out.tell() % 32))


if __name__ == "__main__":
    main()
