// The calls that the engine has no part in, and that every field of every response can be seen.
#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

using testing::HasSubstr;

TEST(Tokenize, TextBecomesIdsAndPieces) {
  LiveServer server;
  const auto response = server.client().tokenize(from_text<v1::TokenizeRequest>("text: 'the é'"));
  ASSERT_TRUE(response.ok()) << response.status();
  const auto expected = server.tokenizer->encode("the é");
  EXPECT_EQ(std::vector<int32_t>(response->ids().begin(), response->ids().end()), expected);
  ASSERT_EQ(response->pieces_size(), response->ids_size());
  EXPECT_EQ(response->pieces(0), server.tokenizer->piece(expected[0]));
  EXPECT_EQ(response->rendered(), "the é");
}

TEST(Tokenize, AddSpecialPutsTheBeginTokenBeforeAText) {
  LiveServer server;
  const auto response = server.client().tokenize(from_text<v1::TokenizeRequest>("text: 'the' add_special: true"));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->ids(0), static_cast<uint32_t>(kFakeBos));
}

TEST(Tokenize, AChatShowsWhatItBecame) {
  LiveServer server;
  const auto response =
      server.client().tokenize(from_text<v1::TokenizeRequest>("chat { messages { role: 'user' content: 'hi' } }"));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->rendered(), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_GT(response->ids_size(), 10);
}

TEST(Tokenize, WhatItDoesNotTakeIsRefused) {
  LiveServer server;
  Client client = server.client();
  const auto refused = [&](const std::string& text) {
    return std::string(client.tokenize(from_text<v1::TokenizeRequest>(text)).status().ToString());
  };
  EXPECT_THAT(refused(""), HasSubstr("INVALID_ARGUMENT: the request has no prompt: one of chat and text must be set"));
  EXPECT_THAT(refused("add_special: true chat { messages { role: 'user' content: 'hi' } }"),
              HasSubstr("add_special goes with text"));
  EXPECT_THAT(refused("chat { messages { role: 'wizard' content: 'hi' } }"), HasSubstr("wizard"));
}

TEST(Detokenize, IdsBecomeTextWithOrWithoutSpecialTokens) {
  LiveServer server;
  v1::DetokenizeRequest request;
  const auto ids = server.tokenizer->encode("the one", {.add_special = true});
  request.mutable_ids()->Add(ids.begin(), ids.end());
  EXPECT_THAT(server.client().detokenize(request)->text(), HasSubstr("<s>"));
  request.set_skip_special(true);
  EXPECT_EQ(server.client().detokenize(request)->text(), "the one");
}

TEST(Detokenize, NothingIsAnEmptyTextAndAnUnknownIdIsRefused) {
  LiveServer server;
  EXPECT_EQ(server.client().detokenize({})->text(), "");
  const auto refused = server.client().detokenize(from_text<v1::DetokenizeRequest>("ids: [1, 300]"));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("ids[1] = 300 is outside the vocabulary of 300 tokens"));
}

TEST(GetServerInfo, SaysWhatTheServerWasStartedWith) {
  LiveServer server;
  const auto info = server.client().info();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->model(), "tiny");
  EXPECT_EQ(info->chat_template(), "chatml");
  EXPECT_EQ(info->default_mode(), "w4a16");
  EXPECT_EQ(info->modes(1).id(), "w4a16+kv8");
  EXPECT_EQ(info->modes(1).kv_capacity_tokens(), 64u * 32);
  EXPECT_EQ(info->limits().max_context_tokens(), 256u);
  EXPECT_EQ(info->limits().max_stop_token_ids(), 64u);
  EXPECT_EQ(info->defaults().sampling().top_k(), 40u);
  EXPECT_EQ(info->defaults().stopping().max_new_tokens(), 32u);
  EXPECT_FALSE(info->defaults().sampling().has_seed());
}

TEST(GetServerInfo, ItsDefaultsAreALegalRequestButForThePrompt) {
  LiveServer server;
  v1::GenerateRequest request = server.client().info()->defaults();
  request.set_text("the");
  EXPECT_TRUE(server.client().generate(request).ok());
}

TEST(GetMemory, IsTheSampleThatMetricsRead) {
  LiveServer server;
  const auto memory = server.client().memory();
  ASSERT_TRUE(memory.ok()) << memory.status();
  ASSERT_EQ(memory->entries_size(), 2);
  EXPECT_EQ(memory->entries(0).owner(), "w4a16");
  EXPECT_EQ(memory->entries(0).peaks().decode_bytes(), 1002u);
  EXPECT_EQ(memory->devices(0).unaccounted_bytes(), 100);
  EXPECT_EQ(memory->footprints(0).bytes(), 2u << 20);
}

// Walks a response and notes each field that is set to something.
void note_fields(const google::protobuf::Message& message, std::set<std::string>& seen) {
  const auto& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    seen.insert(field->full_name());
    if (field->message_type() == nullptr) continue;
    if (!field->is_repeated()) note_fields(reflection.GetMessage(message, field), seen);
    for (int i = 0; field->is_repeated() && i < reflection.FieldSize(message, field); ++i) {
      note_fields(reflection.GetRepeatedMessage(message, field, i), seen);
    }
  }
}

void all_fields(const google::protobuf::Descriptor* message, std::set<std::string>& out) {
  for (int i = 0; i < message->field_count(); ++i) {
    const auto* field = message->field(i);
    if (out.insert(field->full_name()).second && field->message_type() != nullptr)
      all_fields(field->message_type(), out);
  }
}

// Of ServerInfo.defaults only what has a default is ever set; requests have their own table.
bool belongs_to_a_request(const std::string& field) {
  for (const char* message : {"GenerateRequest.", "Chat.", "Message.", "TokenIds.", "Sampling.", "TokenBias.",
                              "Stopping.", "Output.", "Scheduling."}) {
    if (field.rfind(std::string("halftone.v1.") + message, 0) == 0) return true;
  }
  return false;
}

// Answers that end in different ways, crowded enough that some are preempted and some wait for another mode.
void note_answers(LiveServer& server, std::set<std::string>& seen) {
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      auto request = text_request("the one that they have " + std::to_string(i), 100);
      request.mutable_output()->set_logprobs(2);
      request.mutable_output()->set_prompt_logprobs(2);
      request.mutable_output()->set_receipt(true);
      request.set_mode(i % 2 == 0 ? "w4a16" : "w4a16+kv8");
      const auto response = server.client().generate(request);
      ASSERT_TRUE(response.ok()) << response.status();
      std::lock_guard lock(mutex);
      note_fields(*response, seen);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// One request runs, the others wait.
void note_load(std::set<std::string>& seen) {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 5'000'000;
  options.engine.max_running = 1;
  LiveServer server(options);
  Cancellation cancellation;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      (void)server.client().generate(text_request("wait", 200), {std::nullopt, &cancellation});
    });
  }
  Client client = server.client();
  v1::TokenizeRequest text;
  text.set_text(std::string(1 << 20, 'a'));
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!cancellation.cancelled()) (void)server.client().tokenize(text, {std::nullopt, &cancellation});
    });
  }
  EXPECT_TRUE(server.eventually([&] {
    note_fields(*client.info(), seen);
    return seen.count("halftone.v1.Load.running") > 0 && seen.count("halftone.v1.Load.text_calls") > 0 &&
           seen.count("halftone.v1.Load.estimated_queue_seconds") > 0;
  }));
  cancellation.cancel();
  for (std::thread& thread : threads) thread.join();
}

QualityCard whole_card() {
  QualityCard card;
  card.reference = card.text_name = card.text_sha256 = card.protocol = card.bos = card.label = "x";
  card.machine = card.commit = "x";
  card.windows = card.window_tokens = card.scored_positions = 1;
  card.perplexity = card.perplexity_standard_error = card.reference_perplexity = 1;
  card.kl_mean = card.kl_standard_error = card.kl_median = card.kl_p99 = card.kl_max = card.top1 = 1;
  return card;
}

TEST(Responses, EveryFieldCanBeSeen) {
  LiveOptions options;
  options.executor.pages = 16;
  options.quality = {whole_card()};
  LiveServer server(options);
  Client client = server.client();
  std::set<std::string> seen;
  note_answers(server, seen);

  auto request = text_request("again", 40);
  request.mutable_output()->set_receipt(true);
  const auto whole = client.generate(request);
  ASSERT_TRUE(whole.ok());
  request.mutable_stopping()->add_stop_token_ids(whole->tokens(0).id());
  note_fields(*client.generate(request), seen);
  request.mutable_stopping()->clear_stop_token_ids();
  request.mutable_stopping()->add_stop("eee");
  request.mutable_sampling()->add_logit_bias()->set_id(kFakeFirstWord);  // "e", and a bias that forces it
  request.mutable_sampling()->mutable_logit_bias(0)->set_bias(60);
  note_fields(*client.generate(request), seen);
  request = text_request(std::string(100, '!'), 4);
  request.mutable_output()->set_receipt(true);
  request.mutable_scheduling()->set_cache_salt("ours");
  note_fields(*client.generate(request), seen);
  note_fields(*client.generate(request), seen);  // the second time from the prefix cache

  note_fields(*client.score(from_text<v1::ScoreRequest>("text: 'the one' top_n: 2")), seen);
  note_fields(*client.tokenize(from_text<v1::TokenizeRequest>("text: 'the'")), seen);
  note_fields(*client.detokenize(from_text<v1::DetokenizeRequest>("ids: 260")), seen);
  note_fields(*client.memory(), seen);
  note_fields(*client.info(), seen);

  note_load(seen);

  std::set<std::string> fields, missing;
  for (const google::protobuf::Descriptor* response :
       {v1::GenerateResponse::descriptor(), v1::ScoreResponse::descriptor(), v1::TokenizeResponse::descriptor(),
        v1::DetokenizeResponse::descriptor(), v1::ServerInfo::descriptor(), v1::MemoryReport::descriptor()}) {
    all_fields(response, fields);
  }
  for (const std::string& field : fields) {
    if (seen.count(field) == 0 && !belongs_to_a_request(field)) missing.insert(field);
  }
  EXPECT_THAT(missing, testing::IsEmpty());
}

}  // namespace
}  // namespace halftone
