#include "tests/server/api/field_table.h"

#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

using Row = FieldRow<RequestEffect>;
using Rows = std::vector<Row>;
constexpr char kInvalid[] = "INVALID_ARGUMENT";
constexpr char kText[] = "text: 'the' ";

Refused invalid(std::string request, std::string message) { return {std::move(request), kInvalid, std::move(message)}; }

std::string repeated(int count, const std::function<std::string(int)>& entry) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, entry(i), " ");
  return out;
}

std::string stops(int count) {
  return "stopping { " + repeated(count, [](int) { return "stop: 'x'"; }) + "}";
}

std::string stop_ids(int count) {
  return "stopping { " + repeated(count, [](int i) { return absl::StrCat("stop_token_ids: ", i % 300); }) + "}";
}

std::string biases(int count) {
  return "sampling { " + repeated(count, [](int i) { return absl::StrCat("logit_bias { id: ", i, " bias: 1 }"); }) +
         "}";
}

std::string tokens(int count) {
  return "tokens { " + repeated(count, [](int) { return "ids: 7"; }) + "}";
}

// A float with bounds: NaN and the infinities are refused wherever it stands.
Row bounded(const std::string& field, const std::string& group, const std::string& legal, RequestEffect effect,
            std::vector<std::string> borders, std::vector<std::string> beyond, const std::string& range) {
  const std::string name = field.substr(field.find('.') + 1);
  const auto write = [&](const std::string& value) { return absl::StrCat(group, " { ", name, ": ", value, " }"); };
  Row row{field, kText, write(legal), std::move(effect), {}, {}};
  for (const std::string& value : borders) row.borders.push_back(write(value));
  for (const std::string& value : beyond) {
    row.refused.push_back(invalid(write(value), absl::StrCat(group, ".", name, " = ", value, " is outside ", range)));
  }
  row.refused.push_back(invalid(write("nan"), absl::StrCat(group, ".", name, " = nan is outside ", range)));
  row.refused.push_back(invalid(write("inf"), absl::StrCat(group, ".", name, " = inf is outside ", range)));
  row.refused.push_back(invalid(write("-inf"), absl::StrCat(group, ".", name, " = -inf is outside ", range)));
  return row;
}

Rows prompt_rows() {
  return {
      {"GenerateRequest.chat",
       "",
       "chat { messages { role: 'user' content: 'the' } }",
       [](const Request& r) { return r.prompt.size() > 20; },
       {},
       {invalid("chat {}", "chat: ")}},
      {"Chat.messages",
       "",
       "chat { messages { role: 'system' content: 'a' } messages { role: 'user' content: 'b' } }",
       [](const Request& r) { return r.prompt.size() > 40; },
       {},
       {invalid("chat { }", "chat: ")}},
      {"Message.role",
       "",
       "chat { messages { role: 'user' content: 'the' } }",
       [](const Request& r) { return !r.prompt.empty(); },
       {},
       {invalid("chat { messages { content: 'the' } }", "chat: "),
        invalid("chat { messages { role: 'wizard' content: 'the' } }", "wizard")}},
      {"Message.content",
       "",
       "chat { messages { role: 'user' content: 'the the the the the' } }",
       [](const Request& r) { return r.prompt.size() > 24; },
       {"chat { messages { role: 'user' } }"},
       {}},
      {"GenerateRequest.text",
       "",
       "text: 'the and'",
       [](const Request& r) { return r.prompt.size() >= 3 && r.prompt[0] == 1; },
       {"text: ''", "text: '</s>'"},
       {invalid("", "the request has no prompt: one of chat, text and tokens must be set"),
        invalid("text: '" + std::string(2000, '!') + "'", "tokens, the context is 256")}},
      {"GenerateRequest.tokens",
       "",
       "tokens { ids: [7, 8] }",
       [](const Request& r) {
         return r.prompt == std::vector<int32_t>{7, 8};
       },
       {},
       {invalid("tokens {}", "the prompt is empty: tokens.ids gives no token")}},
      {"TokenIds.ids",
       "",
       "tokens { ids: [0, 299] }",
       [](const Request& r) {
         return r.prompt == std::vector<int32_t>{0, 299};
       },
       {tokens(256)},
       {invalid("tokens { ids: [1, 300] }", "tokens.ids[1] = 300 is outside the vocabulary of 300 tokens"),
        invalid("tokens { ids: 4294967295 }", "tokens.ids[0] = 4294967295 is outside"),
        invalid(tokens(257), "the prompt has 257 tokens, the context is 256")}},
      {"GenerateRequest.mode",
       kText,
       "mode: 'w4a16+kv8'",
       [](const Request& r) { return r.mode == 1; },
       {"mode: ''"},
       {{"mode: 'w2'", "NOT_FOUND", "there is no mode \"w2\"; the modes are w4a16, w4a16+kv8"}}},
      {"GenerateRequest.request_id",
       kText,
       "request_id: 'my id~'",
       [](const Request& r) { return r.id == "my id~"; },
       {"request_id: '" + std::string(128, 'i') + "'"},
       {invalid("request_id: '" + std::string(129, 'i') + "'", "request_id has 129 bytes, the limit is 128"),
        invalid("request_id: 'a\\nb'", "request_id has the byte 0xa, which is not printable ASCII"),
        invalid("request_id: 'é'", "request_id has the byte 0xc3")}},
  };
}

Rows sampling_rows() {
  Rows rows = {
      {"GenerateRequest.sampling",
       kText,
       "sampling {}",
       [](const Request& r) { return r.sampling.top_k == 40; },
       {},
       {}},
      bounded(
          "Sampling.temperature", "sampling", "0.5", [](const Request& r) { return r.sampling.temperature == 0.5f; },
          {"0", "100"}, {"-0.1", "100.5"}, "[0, 100]"),
      bounded(
          "Sampling.top_p", "sampling", "0.5", [](const Request& r) { return r.sampling.top_p == 0.5f; }, {"1", "1e-6"},
          {"0", "1.7", "-1"}, "(0, 1]"),
      bounded(
          "Sampling.min_p", "sampling", "0.5", [](const Request& r) { return r.sampling.min_p == 0.5f; },
          {"0", "0.999"}, {"1", "-0.5"}, "[0, 1)"),
      bounded(
          "Sampling.repetition_penalty", "sampling", "1.5",
          [](const Request& r) { return r.sampling.repetition_penalty == 1.5f; }, {"0.01", "100"}, {"0", "-1", "101"},
          "(0, 100]"),
      bounded(
          "Sampling.presence_penalty", "sampling", "1.5",
          [](const Request& r) { return r.sampling.presence_penalty == 1.5f; }, {"-100", "100"}, {"-101", "101"},
          "[-100, 100]"),
      bounded(
          "Sampling.frequency_penalty", "sampling", "-1.5",
          [](const Request& r) { return r.sampling.frequency_penalty == -1.5f; }, {"-100", "100"}, {"-101", "101"},
          "[-100, 100]"),
      {"Sampling.top_k",
       kText,
       "sampling { top_k: 5 }",
       [](const Request& r) { return r.sampling.top_k == 5; },
       {"sampling { top_k: 0 }", "sampling { top_k: 4294967295 }"},
       {}},
      {"Sampling.seed",
       kText,
       "sampling { seed: 12 }",
       [](const Request& r) { return r.sampling.seed == 12; },
       {"sampling { seed: 0 }", "sampling { seed: 18446744073709551615 }"},
       {}},
      {"Sampling.logit_bias",
       kText,
       "sampling { logit_bias { id: 3 bias: -2 } logit_bias { id: 4 bias: 2 } }",
       [](const Request& r) {
         return r.sampling.logit_bias == std::vector<std::pair<int32_t, float>>{{3, -2.f}, {4, 2.f}};
       },
       {biases(300)},
       {invalid(biases(513), "sampling.logit_bias has 513 entries, the limit is 512")}},
      {"TokenBias.id",
       kText,
       "sampling { logit_bias { id: 299 bias: 1 } }",
       [](const Request& r) { return r.sampling.logit_bias.at(0).first == 299; },
       {"sampling { logit_bias { bias: 1 } }"},
       {invalid("sampling { logit_bias { id: 300 bias: 1 } }",
                "sampling.logit_bias[0].id = 300 is outside the vocabulary of 300 tokens"),
        invalid("sampling { logit_bias { id: 3 bias: 1 } logit_bias { id: 3 bias: 1 } }",
                "sampling.logit_bias[1].id = 3 stands there twice")}},
      {"TokenBias.bias",
       kText,
       "sampling { logit_bias { id: 3 bias: 1.5 } }",
       [](const Request& r) { return r.sampling.logit_bias.at(0).second == 1.5f; },
       {"sampling { logit_bias { id: 3 bias: -100 } }", "sampling { logit_bias { id: 3 bias: 100 } }"},
       {invalid("sampling { logit_bias { id: 3 bias: -101 } }",
                "sampling.logit_bias[0].bias = -101 is outside [-100, 100]"),
        invalid("sampling { logit_bias { id: 3 bias: nan } }", "sampling.logit_bias[0].bias = nan"),
        invalid("sampling { logit_bias { id: 3 bias: -inf } }", "sampling.logit_bias[0].bias = -inf")}},
  };
  return rows;
}

Rows stopping_rows() {
  return {
      {"GenerateRequest.stopping",
       kText,
       "stopping {}",
       [](const Request& r) { return r.max_new_tokens == 32 && !r.max_new_tokens_given; },
       {},
       {}},
      {"Stopping.max_new_tokens",
       "tokens { ids: [7, 8] } ",
       "stopping { max_new_tokens: 5 }",
       [](const Request& r) { return r.max_new_tokens == 5 && r.max_new_tokens_given; },
       {"stopping { max_new_tokens: 1 }", "stopping { max_new_tokens: 254 }"},
       {invalid("stopping { max_new_tokens: 0 }", "stopping.max_new_tokens = 0 is below 1"),
        {"stopping { max_new_tokens: 255 }", "OUT_OF_RANGE",
         "the prompt has 2 tokens and stopping.max_new_tokens = 255: together 257, the context is 256"},
        {"stopping { max_new_tokens: 4294967295 }", "OUT_OF_RANGE", "together 4294967297, the context is 256"}}},
      {"Stopping.min_new_tokens",
       kText,
       "stopping { max_new_tokens: 5 min_new_tokens: 5 }",
       [](const Request& r) { return r.min_new_tokens == 5; },
       {"stopping { min_new_tokens: 0 }", "stopping { min_new_tokens: 32 }"},
       {invalid("stopping { min_new_tokens: 33 }",
                "stopping.min_new_tokens = 33 is above max_new_tokens = 32, the default"),
        invalid("stopping { max_new_tokens: 5 min_new_tokens: 6 }",
                "stopping.min_new_tokens = 6 is above max_new_tokens = 5")}},
      {"Stopping.stop",
       kText,
       "stopping { stop: ['a', 'b'] }",
       [](const Request& r) {
         return r.stop == std::vector<std::string>{"a", "b"};
       },
       {stops(16), "stopping { stop: '" + std::string(256, 's') + "' }"},
       {invalid(stops(17), "stopping.stop has 17 entries, the limit is 16"),
        invalid("stopping { stop: ['a', ''] }", "stopping.stop[1] is empty"),
        invalid("stopping { stop: '" + std::string(257, 's') + "' }",
                "stopping.stop[0] has 257 bytes, the limit is 256")}},
      {"Stopping.stop_token_ids",
       kText,
       "stopping { stop_token_ids: [9, 2] }",
       [](const Request& r) {
         return r.stop_token_ids == std::vector<int32_t>{9, 2};
       },
       {stop_ids(64)},
       {invalid(stop_ids(65), "stopping.stop_token_ids has 65 entries, the limit is 64"),
        invalid("stopping { stop_token_ids: 300 }", "stopping.stop_token_ids[0] = 300 is outside the vocabulary")}},
      {"Stopping.ignore_eos",
       kText,
       "stopping { ignore_eos: true }",
       [](const Request& r) { return r.ignore_eos; },
       {},
       {}},
      bounded(
          "Stopping.max_seconds", "stopping", "1.5",
          [](const Request& r) { return r.max_time == Nanoseconds{1'500'000'000}; }, {"0.001", "86400"},
          {"0", "-1", "86401"}, "(0, 86400]"),
  };
}

Rows other_rows() {
  return {
      {"GenerateRequest.output", kText, "output {}", [](const Request& r) { return r.logprobs == 0; }, {}, {}},
      {"Output.logprobs",
       kText,
       "output { logprobs: 3 }",
       [](const Request& r) { return r.logprobs == 3; },
       {"output { logprobs: 20 }"},
       {invalid("output { logprobs: 21 }", "output.logprobs = 21 is outside [0, 20]")}},
      {"Output.prompt_logprobs",
       kText,
       "output { prompt_logprobs: 3 }",
       [](const Request& r) { return r.prompt_logprobs == 3; },
       {"output { prompt_logprobs: 20 }"},
       {invalid("output { prompt_logprobs: 21 }", "output.prompt_logprobs = 21 is outside [0, 20]")}},
      // Its effect is on the answer: seen in the tests of streams.
      {"Output.receipt", kText, "output { receipt: true }", [](const Request&) { return true; }, {}, {}},
      {"GenerateRequest.scheduling", kText, "scheduling {}", [](const Request& r) { return r.priority == 0; }, {}, {}},
      {"Scheduling.priority",
       kText,
       "scheduling { priority: -3 }",
       [](const Request& r) { return r.priority == -3; },
       {"scheduling { priority: -100 }", "scheduling { priority: 100 }"},
       {invalid("scheduling { priority: 101 }", "scheduling.priority = 101 is outside [-100, 100]"),
        invalid("scheduling { priority: -2147483648 }", "scheduling.priority = -2147483648 is outside")}},
      bounded(
          "Scheduling.max_queue_seconds", "scheduling", "2",
          [](const Request& r) { return r.max_queue_time == Nanoseconds{2'000'000'000}; }, {"0.001", "86400"},
          {"0", "-1", "86401"}, "(0, 86400]"),
      {"Scheduling.cache_salt",
       kText,
       "scheduling { cache_salt: 'mine' }",
       [](const Request& r) { return r.cache_salt == "mine"; },
       {"scheduling { cache_salt: '" + std::string(128, 's') + "' }"},
       {invalid("scheduling { cache_salt: '" + std::string(129, 's') + "' }",
                "scheduling.cache_salt has 129 bytes, the limit is 128")}},
  };
}

}  // namespace

std::vector<FieldRow<RequestEffect>> generate_rows() {
  Rows all;
  for (Rows rows : {prompt_rows(), sampling_rows(), stopping_rows(), other_rows()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

std::vector<FieldRow<RequestEffect>> score_rows() {
  return {
      {"ScoreRequest.chat",
       "",
       "chat { messages { role: 'user' content: 'the' } }",
       [](const Request& r) { return r.prompt.size() > 20 && r.kind == Request::Kind::kScore; },
       {},
       {invalid("chat {}", "chat: ")}},
      {"ScoreRequest.text",
       "",
       "text: 'the and'",
       [](const Request& r) { return r.prompt.size() >= 3 && r.prompt[0] == 1; },
       {},
       {invalid("", "the request has no prompt"), invalid("text: ''", "leaves nothing to score of 1 tokens"),
        invalid("text: '" + std::string(2000, '!') + "'", "tokens, the context is 256")}},
      {"ScoreRequest.tokens",
       "",
       "tokens { ids: [7, 8] }",
       [](const Request& r) {
         return r.prompt == std::vector<int32_t>{7, 8};
       },
       {tokens(256)},
       {invalid("tokens {}", "the prompt is empty"), invalid(tokens(257), "the prompt has 257 tokens"),
        invalid("tokens { ids: [1, 300] }", "tokens.ids[1] = 300 is outside the vocabulary of 300 tokens")}},
      {"ScoreRequest.mode",
       kText,
       "mode: 'w4a16+kv8'",
       [](const Request& r) { return r.mode == 1; },
       {"mode: ''"},
       {{"mode: 'w2'", "NOT_FOUND", "there is no mode \"w2\"; the modes are w4a16, w4a16+kv8"}}},
      {"ScoreRequest.top_n",
       kText,
       "top_n: 4",
       [](const Request& r) { return r.score_top == 4; },
       {"top_n: 0", "top_n: 20"},
       {invalid("top_n: 21", "top_n = 21 is outside [0, 20]")}},
      {"ScoreRequest.first_scored",
       "tokens { ids: [4, 5, 6, 7] } ",
       "first_scored: 2",
       [](const Request& r) { return r.first_scored == 2; },
       {"first_scored: 1", "first_scored: 3"},
       {invalid("first_scored: 0", "first_scored = 0 is below 1"),
        invalid("first_scored: 4", "first_scored = 4 leaves nothing to score of 4 tokens")}},
  };
}

}  // namespace halftone
