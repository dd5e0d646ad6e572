#!/usr/bin/env python3
"""Writes tests/golden/: tiny random checkpoints of every family and the logits that `transformers` computes from them.

Float32 throughout, except that K after RoPE and V are rounded to IEEE half before anyone attends to them, as our kv16
cache does. Run from the root of the tree, with torch, transformers and safetensors installed:

    python3 tools/make_golden.py [NAME...]     all of them, or those named

The same versions write the same bytes; tests need none of this.
"""
import hashlib
import json
import math
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, DynamicCache, Gemma2Config, Gemma3TextConfig, LlamaConfig,
                          MistralConfig, Qwen2Config, Qwen3Config)

OUT = pathlib.Path("tests/golden")
TOKENS = 40
VOCABULARY = 211

COMMON = dict(vocab_size=VOCABULARY, hidden_act="silu", bos_token_id=0, eos_token_id=2, attention_dropout=0.0)

FAMILIES = {
    # Every query head has its own keys; no tied head; two files and an index.
    "llama_untied": dict(
        config=LlamaConfig(**COMMON, hidden_size=48, num_attention_heads=6, num_key_value_heads=6, head_dim=8,
                           intermediate_size=104, num_hidden_layers=3, max_position_embeddings=256,
                           rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False),
        dtype=torch.float32, shards=2),
    # Like SmolLM2; a head is no multiple of eight.
    "llama_tied_gqa": dict(
        config=LlamaConfig(**COMMON, hidden_size=60, num_attention_heads=6, num_key_value_heads=2, head_dim=10,
                           intermediate_size=92, num_hidden_layers=2, max_position_embeddings=256,
                           rms_norm_eps=1e-5, rope_theta=100000.0, tie_word_embeddings=True),
        dtype=torch.float32),
    "llama_linear": dict(
        config=LlamaConfig(**COMMON, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                           intermediate_size=72, num_hidden_layers=2, max_position_embeddings=256,
                           rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
                           rope_scaling=dict(rope_type="linear", factor=4.0)),
        dtype=torch.bfloat16, unscaled=dict(rope_type="default")),
    # An original context so short that 40 tokens meet all three kinds of frequency.
    "llama3": dict(
        config=LlamaConfig(**COMMON, hidden_size=64, num_attention_heads=4, num_key_value_heads=1, head_dim=16,
                           intermediate_size=112, num_hidden_layers=2, max_position_embeddings=512,
                           rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
                           rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                             original_max_position_embeddings=64)),
        dtype=torch.float32, unscaled=dict(rope_type="default")),
    "mistral_window": dict(
        config=MistralConfig(**COMMON, hidden_size=56, num_attention_heads=7, num_key_value_heads=1, head_dim=8,
                             intermediate_size=120, num_hidden_layers=2, max_position_embeddings=256,
                             rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, sliding_window=7),
        dtype=torch.float32),
    "qwen2_bias": dict(
        config=Qwen2Config(**COMMON, hidden_size=48, num_attention_heads=4, num_key_value_heads=2,
                           intermediate_size=104, num_hidden_layers=2, max_position_embeddings=256,
                           rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True),
        dtype=torch.bfloat16),
    "qwen3_qk_norm": dict(
        config=Qwen3Config(**COMMON, hidden_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                           intermediate_size=88, num_hidden_layers=3, max_position_embeddings=256,
                           rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=False),
        dtype=torch.float16),
    # Biases on all four products of attention.
    "llama_attention_bias": dict(
        config=LlamaConfig(**COMMON, hidden_size=48, num_attention_heads=6, num_key_value_heads=3, head_dim=8,
                           intermediate_size=104, num_hidden_layers=2, max_position_embeddings=256,
                           rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True, attention_bias=True),
        dtype=torch.float32),
    # Two layers that look through a window and turn by a base of their own, then one that sees everything with scaled
    # positions, and a fourth of the first kind; heads scaled by another size than their own.
    "gemma3": dict(
        config=Gemma3TextConfig(**{k: v for k, v in COMMON.items() if k != "hidden_act"}, hidden_size=48,
                                num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=104,
                                num_hidden_layers=4, max_position_embeddings=256, rms_norm_eps=1e-6,
                                tie_word_embeddings=True, sliding_window=9, query_pre_attn_scalar=24, pad_token_id=0,
                                layer_types=["sliding_attention", "sliding_attention", "full_attention",
                                             "sliding_attention"],
                                rope_parameters=dict(
                                    full_attention=dict(rope_type="linear", factor=4.0, rope_theta=100000.0),
                                    sliding_attention=dict(rope_type="default", rope_theta=500.0))),
        dtype=torch.bfloat16),
    # Caps so low that they are felt; every second layer looks through a window.
    "gemma2": dict(
        config=Gemma2Config(**{k: v for k, v in COMMON.items() if k != "hidden_act"}, hidden_size=40,
                            num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=88,
                            num_hidden_layers=3, max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0,
                            tie_word_embeddings=True, sliding_window=9, query_pre_attn_scalar=12, pad_token_id=0,
                            attn_logit_softcapping=6.0, final_logit_softcapping=14.0),
        dtype=torch.bfloat16),
}


class HalfCache(DynamicCache):
    """Store first, then attend to what was stored: K (after RoPE) and V as IEEE halves."""

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        key_states, value_states = (x.to(torch.float16).to(x.dtype) for x in (key_states, value_states))
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)


def lively_weights(model, seed, dtype):
    """Scores with a standard deviation well beyond 1, gates that open and close, norms that are no ones."""
    generator = torch.Generator().manual_seed(seed)
    gain = dict(q_proj=1.45, k_proj=1.45, v_proj=1.0, o_proj=1.0, gate_proj=1.5, up_proj=1.5, down_proj=1.0,
                embed_tokens=3.0, lm_head=3.0, gate=2.0, gate_up_proj=1.5)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            part = name.split(".")[-2] if name.endswith((".weight", ".bias")) else name.split(".")[-1]
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            if name.endswith("bias"):
                value = 0.5 * noise
            elif "norm" in part:
                value = (1.4 if part in ("q_norm", "k_norm") else 1.0) + 0.15 * noise
                if type(model).__name__.startswith("Gemma"):
                    value = value - 1  # which these add again
            else:
                value = gain[part] / math.sqrt(parameter.shape[-1]) * noise
            parameter.copy_(value.to(dtype).to(parameter.dtype))


def run(model, prompt, cache=HalfCache):
    with torch.no_grad():
        return model(input_ids=torch.tensor([prompt]), past_key_values=cache(), use_cache=True,
                     output_attentions=True)


def attention_entropy(outputs, config):
    """Mean entropy over layers, heads and positions, as a part of what even attention would have."""
    parts, types = [], getattr(config, "layer_types", None)
    for index, layer in enumerate(outputs.attentions):
        windowed = types is None or types[index] == "sliding_attention"
        window = getattr(config, "sliding_window", None) if windowed else None
        for position in range(8, TOKENS):
            p = layer[0, :, position, :].double()
            entropy = -(p * torch.log(p.clamp_min(1e-30))).sum(-1)
            parts.append((entropy / math.log(min(position + 1, window or TOKENS))).mean().item())
    return sum(parts) / len(parts)


def sensitivity(model, prompt, logits):
    """How far float32 noise moves the logits, in double against float32 and against itself with noisy weights.

    Noise tips a key or value over to the neighbouring half now and then; with an unlucky seed that alone would take up
    the tolerance of the tests.
    """
    exact = model.to(torch.float64)
    kept = {name: value.clone() for name, value in exact.named_parameters()}
    center = run(exact, prompt).logits[0]
    worst = (center - logits.double()).abs().max().item()
    for draw in range(8):
        generator = torch.Generator().manual_seed(draw)
        with torch.no_grad():
            for name, parameter in exact.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(kept[name] * (1 + 2e-7 * noise))
        worst = max(worst, (run(exact, prompt).logits[0] - center).abs().max().item())
    with torch.no_grad():
        for name, parameter in exact.named_parameters():
            parameter.copy_(kept[name])
    model.to(torch.float32)
    return worst / (logits.max() - logits.min()).item()


def byte_letters():
    """GPT-2's visible letter for each byte."""
    visible = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    hidden = [b for b in range(256) if b not in visible]
    letters = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [letters[b] for b in range(256)]


def tokenizer():
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    pieces = special + byte_letters()[:VOCABULARY - len(special)]
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    added = [dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, text in enumerate(special)]
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
                pre_tokenizer=byte_level, post_processor=byte_level, decoder=byte_level,
                model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="",
                           end_of_word_suffix="", fuse_unk=False, byte_fallback=False,
                           vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))


def as_in_files(name, value):
    """(name, tensor) of a parameter as checkpoints have it: transformers keeps all experts of a layer in one."""
    if ".experts." not in name:
        return [(name, value)]
    parts = []
    for expert, matrix in enumerate(value):
        at = name.replace(".experts.", f".experts.{expert}.")
        if name.endswith("gate_up_proj"):
            gate, up = matrix.chunk(2)
            parts += [(at.replace("gate_up_proj", "gate_proj.weight"), gate),
                      (at.replace("gate_up_proj", "up_proj.weight"), up)]
        else:
            parts.append((at + ".weight", matrix))
    return parts


def write_weights(model, directory, dtype, shards):
    tied = model.config.tie_word_embeddings
    tensors = {part: tensor.detach().to(dtype).contiguous() for name, value in sorted(model.named_parameters())
               for part, tensor in as_in_files(name, value) if not (tied and name == "lm_head.weight")}
    if shards == 1:
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names, weight_map = list(tensors), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        weight_map |= {name: file for name in part}
        save_file(part, directory / file, metadata={"format": "pt"})
    index = dict(metadata=dict(total_size=sum(t.numel() * t.element_size() for t in tensors.values())),
                 weight_map=dict(sorted(weight_map.items())))
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def check_that_it_matters(name, family, model, prompt, logits, span):
    """Without the rounding, without the window, or without the scaling, the logits are others."""
    unrounded = run(model, prompt, DynamicCache).logits[0]
    assert (unrounded - logits).abs().max().item() > 1e-5 * span, f"{name}: keys and values were not rounded"
    config = type(model.config)(**model.config.to_dict())
    if getattr(config, "sliding_window", None):
        config.sliding_window = TOKENS
    elif "unscaled" in family:
        config.rope_parameters = dict(family["unscaled"], rope_theta=config.rope_parameters["rope_theta"])
    else:
        return
    config._attn_implementation = config._experts_implementation = "eager"
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    plain.load_state_dict(model.state_dict())
    difference = (run(plain, prompt).logits[0] - logits).abs().max().item() / span
    assert difference > 0.05, f"{name}: without it the logits move only {difference:.3f} of the range"


def choose(name, family, first_seed):
    """The first seed whose logits float32 can reproduce: (seed, model, prompt, logits, range, entropy, sensitivity)."""
    config = family["config"]
    config._attn_implementation = config._experts_implementation = "eager"
    for seed in range(first_seed, first_seed + 40):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        lively_weights(model, seed, family["dtype"])
        generator = torch.Generator().manual_seed(seed + 1)
        prompt = torch.randint(3, VOCABULARY, (TOKENS,), generator=generator).tolist()
        outputs = run(model, prompt)
        logits = outputs.logits[0].float()
        entropy = attention_entropy(outputs, config)
        assert 0.1 < entropy < 0.75, f"{name}: attention is not lively: {entropy:.3f} of even"
        moved = sensitivity(model, prompt, logits)
        if moved < 5e-5:
            span = (logits.max() - logits.min()).item()
            check_that_it_matters(name, family, model, prompt, logits, span)
            return seed, model, prompt, logits, span, entropy, moved
    raise AssertionError(f"{name}: no seed is insensitive enough")


def make(name, family, first_seed):
    dtype = family["dtype"]
    seed, model, prompt, logits, span, entropy, moved = choose(name, family, first_seed)
    directory = OUT / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = dtype
    model.config.save_pretrained(directory)
    (directory / "generation_config.json").write_text(json.dumps(dict(bos_token_id=0, eos_token_id=2)) + "\n")
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False) + "\n")
    write_weights(model, directory, dtype, family.get("shards", 1))
    raw = logits.contiguous().numpy().astype("<f4").tobytes()
    (directory / "logits.f32").write_bytes(raw)
    golden = dict(prompt=prompt, rows=TOKENS, cols=VOCABULARY, logits_sha256=hashlib.sha256(raw).hexdigest(),
                  logit_range=span, sensitivity=moved, attention_entropy=entropy, seed=seed,
                  command="python3 tools/make_golden.py", torch=torch.__version__.split("+")[0],
                  transformers=transformers.__version__, python=sys.version.split()[0])
    (directory / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    for file in directory.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in directory.iterdir())
    print(f"{name}: range {span:.2f}, entropy {entropy:.3f} of even, float32 within {moved:.1e}, {size} bytes")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for number, (name, family) in enumerate(FAMILIES.items()):
        if name in sys.argv[1:] or not sys.argv[1:]:
            make(name, family, first_seed=1000 + 100 * number)


if __name__ == "__main__":
    main()
