// A family of checkpoints: what they share beyond a plain Llama block, in a file of its own under families/. To add
// one: docs/ADD_A_MODEL.md. Tables; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/architecture/hyperparameters.h"
#include "server/architecture/model_spec.h"
#include "server/architecture/tensor_part.h"

namespace halftone {

// What a family says about a part of its layers; every layer has it or none does.
enum class Part : uint8_t { kNever, kMay, kMust };

struct Family {
  std::string_view name;               // GGUF's general.architecture; what clients are told
  std::string_view models;             // what it covers, for people
  std::string_view huggingface_type;   // config.json's model_type
  std::string_view huggingface_class;  // of its "architectures", where model_type is missing

  Part qkv_bias = Part::kNever;
  Part o_bias = Part::kNever;
  Part qk_norm = Part::kNever;

  bool post_norms = false;  // LayerSpec::post_norms and gate
  GateKind gate = GateKind::kSilu;
  const char* activation_key = "hidden_act";  // in config.json, and the one activation that we expect there
  std::string_view activation = "silu";

  // Where config.json leaves something out.
  int64_t usual_context = 32768;
  int64_t usual_head_dim = 0;  // 0: hidden_size / num_attention_heads
  float usual_rope_theta = 10000;
  bool usual_tied_head = false;

  bool says_attention_bias = false;  // config.json's attention_bias counts: q, k, v and o have biases or none has
  bool gguf_interleaves = false;     // GGUF's rows of q and k lie in pairs, not in halves

  float huggingface_norm_offset = 0;               // Hugging Face's files hold norms less this
  std::span<const TensorSpelling> spellings = {};  // of parts that are not spelled as Llama's

  // Read what the family has beyond the common keys, into a spec that has all of these; complain to `keys`. Null:
  // nothing more.
  void (*read_huggingface)(Hyperparameters& keys, ModelSpec& spec) = nullptr;
  void (*read_gguf)(Hyperparameters& keys, ModelSpec& spec) = nullptr;
};

std::span<const Family* const> all_families();
// Null: none is called so.
const Family* find_family(std::string_view name);              // GGUF's general.architecture
const Family* find_huggingface_family(std::string_view type);  // model_type, or a class
// UNIMPLEMENTED: names `file`, what it says it is, and the families that we know.
absl::Status unknown_family(const std::string& file, std::string_view shown_name);

const TensorSpelling& spelling_of(const Family& family, TensorPart part);

// The common keys of config.json and the family's own. The vocabulary is among them; `name` is left to the caller.
// Parts that the family may have are switched on: drop_absent_parts() decides. Checked (check_spec).
absl::StatusOr<ModelSpec> read_huggingface_spec(const Family& family, Hyperparameters& keys);
// The keys "<family>.*" of a GGUF file, which says the vocabulary by its embedding.
absl::StatusOr<ModelSpec> read_gguf_spec(const Family& family, Hyperparameters& keys, int64_t vocabulary);

// Switches off, in every layer, the parts that the family may have and of which no layer has a tensor.
void drop_absent_parts(const Family& family, const std::function<bool(TensorPart)>& has, ModelSpec& spec);

// -- What readers and several families share -------------------------------------------------------------------------

// A layer of these sizes, with all that the family has or may have.
LayerSpec usual_layer(const Family& family, int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t ffn);
// The rotation that config.json's object `key` describes: rope_parameters or, in older files, rope_scaling, beside
// which there is rope_theta. `object` null: there is none.
RopeSpec read_huggingface_rope(const Family& family, Hyperparameters& keys, const char* key, Hyperparameters* object);
// One window for all layers: the key attention.sliding_window, where there is one.
void read_gguf_window(Hyperparameters& keys, ModelSpec& spec);
// `window` in all layers but each pattern-th. INVALID_ARGUMENT (of `key`): there is no such pattern.
void set_windows(Hyperparameters& keys, const char* key, int64_t pattern, int64_t window, ModelSpec& spec);
// `window` in the layers that config.json's layer_types calls "sliding_attention". False: the file does not have it.
bool read_layer_types(Hyperparameters& keys, int64_t window, ModelSpec& spec);
// config.json's use_sliding_window, sliding_window, and which layers look through it: those that layer_types calls
// "sliding_attention", or those from max_window_layers on.
void read_qwen_windows(Hyperparameters& keys, ModelSpec& spec);
// Gemma's scores. config.json says their scale by query_pre_attn_scalar; attention to later tokens is refused.
void read_gemma_scores(Hyperparameters& keys, ModelSpec& spec);
// A GGUF file does not say the scale: it is that of the head's size, but of the 27B model, known by its number of
// layers, where it is that of the embedding's share of a head.
void set_gemma_gguf_scores(int64_t layers_of_27b, ModelSpec& spec);

}  // namespace halftone
