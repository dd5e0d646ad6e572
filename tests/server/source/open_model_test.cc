// What a checkpoint may be called, where it may lie and what it may lack or have too much of.
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "server/source/mapped_file.h"
#include "server/source/model_name.h"
#include "server/text/clean_text.h"
#include "tests/server/source/source_testing.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class OpenModel : public testing::Test {
 protected:
  std::string error(const std::string& path) { return std::string(open_model(path).status().message()); }
  std::string file(const std::string& name) {
    fs::create_directories(fs::path(directory_.file(name)).parent_path());
    return directory_.file(name);
  }

  TestDirectory directory_;
};

TEST_F(OpenModel, NamesComeCleanWhereverTheyStand) {
  const std::string dirty = "x\xff\n\x1b[2J" + std::string(1 << 20, 'y');
  for (const std::string& name : {dirty, std::string("\xe2\x82"), std::string(" "), std::string()}) {
    TinyCheckpoint tiny;
    tiny.config.name = name;
    write_tiny_gguf(file("m\xff.gguf"), tiny);
    absl::StatusOr<ModelSource> source = open_model(file("m\xff.gguf"));
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(clean_text(source->spec.name), source->spec.name);
    EXPECT_LE(source->spec.name.size(), kShownBytes);
    EXPECT_NE(source->spec.name, "");
  }
  write_tiny_huggingface(file("d\xff\n"), TinyCheckpoint{});
  EXPECT_EQ(open_model(file("d\xff\n"))->spec.name, "d\xef\xbf\xbd ");
}

TEST_F(OpenModel, ASnapshotOfTheCacheIsCalledByItsModel) {
  const std::string hash = "0123456789abcdef0123456789abcdef01234567",
                    other = "1123456789abcdef0123456789abcdef01234567";
  const std::string model = "models--some-org--Some-Model-1.5B";
  write_tiny_huggingface(file(model + "/snapshots/" + hash), TinyCheckpoint{});
  for (const std::string& path : {model + "/snapshots/" + hash, model + "/snapshots/" + hash + "/", model,
                                  model + "/snapshots/../snapshots/" + hash + "/.", model + "/"}) {
    absl::StatusOr<ModelSource> source = open_model(directory_.path() + "/" + path);
    ASSERT_TRUE(source.ok()) << path << ": " << source.status();
    EXPECT_EQ(source->spec.name, "some-org/Some-Model-1.5B") << path;
  }
  // Of several the one that refs/main says.
  TinyCheckpoint newer;
  newer.config.context = 256;
  write_tiny_huggingface(file(model + "/snapshots/" + other), newer);
  EXPECT_FALSE(open_model(file(model)).ok());
  write_test_file(file(model + "/refs/main"), other + "\n");
  EXPECT_EQ(open_model(file(model))->spec.context, 256);
  write_test_file(file(model + "/refs/main"), "../../elsewhere");
  EXPECT_FALSE(open_model(file(model)).ok());
  EXPECT_EQ(name_of_directory("/a/models--gpt2/snapshots/x"), "gpt2");
  EXPECT_EQ(name_of_directory("/a/snapshots/x"), "x");
  EXPECT_EQ(name_of_directory("/a/b/./"), "b");
}

TEST_F(OpenModel, ADirectoryWithOneGgufIsThatModel) {
  TinyCheckpoint tiny;
  write_tiny_gguf(file("one/model.gguf"), tiny);
  write_test_file(file("one/config.json"), "{\"model_type\": \"llama\"}");
  write_test_file(file("one/README.md"), "of no interest");
  absl::StatusOr<ModelSource> source = open_model(file("one"));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->spec.name, "tiny");
  write_tiny_gguf(file("one/second.gguf"), tiny);
  EXPECT_THAT(error(file("one")), HasSubstr("holds 2 GGUF models, expected one; name a file: model.gguf, second.gguf"));
  fs::create_directories(file("none"));
  EXPECT_THAT(error(file("none")), HasSubstr("config.json: cannot open"));
}

// The tiny model in three parts: the metadata in the first, each with its share of the tensors.
class Parts : public OpenModel {
 protected:
  void write(const std::function<void(int, GgufBytes&)>& spoil = [](int, GgufBytes&) {}) {
    const TinyCheckpoint tiny;
    const std::vector<TinyTensor> tensors = tiny_tensors(tiny);
    for (int part = 0; part < 3; ++part) {
      GgufBytes gguf = part == 0 ? tiny_gguf_keys(tiny) : GgufBytes();
      gguf.key_raw("split.no", 2, std::string({static_cast<char>(part), '\0'}));
      gguf.key_raw("split.count", 2, std::string({'\3', '\0'}));
      gguf.key_u32("split.tensors.count", static_cast<uint32_t>(tensors.size()));
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (static_cast<int>(i * 3 / tensors.size()) == part) add_tiny_tensor(tiny, tensors[i], gguf);
      }
      spoil(part, gguf);
      write_test_file(path(part), gguf.bytes());
    }
  }
  std::string path(int part) { return file("split/m-0000" + std::to_string(part + 1) + "-of-00003.gguf"); }
};

TEST_F(Parts, AreOneModelWhicheverIsNamed) {
  write();
  write_tiny_gguf(file("whole.gguf"), TinyCheckpoint{});
  absl::StatusOr<ModelSource> whole = open_model(file("whole.gguf"));
  for (const std::string& named : {path(0), path(1), path(2), file("split")}) {
    absl::StatusOr<ModelSource> source = open_model(named);
    ASSERT_TRUE(source.ok()) << source.status();
    expect_same_tensors(*source, *whole);
    EXPECT_EQ(source->digest, whole->digest);
    EXPECT_EQ(source->mapped_bytes, fs::file_size(path(0)) + fs::file_size(path(1)) + fs::file_size(path(2)));
  }
}

TEST_F(Parts, OfWhichOneIsMissingOrWrongAreNamed) {
  write();
  fs::remove(path(1));
  EXPECT_THAT(error(path(2)), AllOf(HasSubstr(path(1)), HasSubstr("cannot open")));
  write();
  fs::copy_file(path(2), path(1), fs::copy_options::overwrite_existing);
  EXPECT_THAT(error(path(0)), HasSubstr("do not say that it is part 2 of 3"));
  write([](int part, GgufBytes& gguf) {
    if (part == 1) gguf.tensor("one.too.many", {8}, 0, std::string(32, '\0'));
  });
  EXPECT_THAT(error(path(0)), HasSubstr("split.tensors.count = "));
  write();
  fs::rename(path(0), file("split/renamed.gguf"));
  EXPECT_THAT(error(file("split/renamed.gguf")), HasSubstr("one of 3 parts of a model, expected a name that ends in"));
}

TEST_F(OpenModel, AnLfsPointerIsCalledOne) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 98765\n";
  write_test_file(file("m.gguf"), pointer);
  EXPECT_THAT(error(file("m.gguf")), HasSubstr("m.gguf: a Git LFS pointer to the file, expected the file itself"));
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors", "generation_config.json"}) {
    write_tiny_huggingface(file("h"), TinyCheckpoint{});
    write_test_file(file(std::string("h/") + name), pointer);
    EXPECT_THAT(error(file("h")), HasSubstr(std::string(name) + ": a Git LFS pointer")) << name;
  }
}

TEST_F(OpenModel, TokensBeyondTheEmbeddingAreLeftOutWithAWarning) {
  for (const bool gguf : {true, false}) {
    SCOPED_TRACE(gguf);
    TinyCheckpoint tiny, more;
    more.config.vocabulary = 330;
    const std::string path = file(gguf ? "m.gguf" : "h"), wide = file("wide");
    if (gguf) {
      GgufBytes keys = tiny_gguf_keys(more);
      for (const TinyTensor& tensor : tiny_tensors(tiny)) add_tiny_tensor(tiny, tensor, keys);
      write_test_file(path, keys.bytes());
    } else {
      write_tiny_huggingface(path, tiny);
      write_tiny_huggingface(wide, more);
      fs::copy_file(wide + "/tokenizer.json", path + "/tokenizer.json", fs::copy_options::overwrite_existing);
    }
    absl::StatusOr<ModelSource> source = open_model(path);
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_EQ(source->warnings.size(), 1u);
    EXPECT_THAT(source->warnings[0], HasSubstr("the tokens from id 320 on (10 of them) have no row in the embedding"));
    EXPECT_EQ(source->vocabulary.pieces.size(), 320u);
    EXPECT_EQ(source->vocabulary.types.size(), 320u);
    EXPECT_EQ(source->vocabulary.merges, tiny_vocabulary(320).merges);
    for (const auto& token : source->vocabulary.added) EXPECT_LT(token.id, 320);
  }
  write_tiny_huggingface(file("h"), TinyCheckpoint{});
  write_test_file(file("h/generation_config.json"), R"({"eos_token_id": [320, 2], "bos_token_id": 0})");
  absl::StatusOr<ModelSource> source = open_model(file("h"));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_THAT(source->vocabulary.eos, ElementsAre(2));
  EXPECT_THAT(source->warnings, ElementsAre(HasSubstr("the end token has id 320, but the embedding has 320 rows")));
}

TEST_F(OpenModel, BiasesOfAttentionAreReadFromBothKindsOfFile) {
  for (const char* architecture : {"llama", "qwen3"}) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(architecture);
    tiny.attention_bias = true;
    write_tiny_gguf(file("m.gguf"), tiny);
    write_tiny_huggingface(file("h"), tiny);
    absl::StatusOr<ModelSource> gguf = open_model(file("m.gguf")), huggingface = open_model(file("h"));
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    ASSERT_TRUE(huggingface.ok()) << huggingface.status();
    expect_same_tensors(*gguf, *huggingface);
    for (const TinyTensor& tensor : tiny_tensors(tiny)) EXPECT_EQ(read_all(*gguf->find(tensor.name)), tensor.values);
  }
}

TEST_F(OpenModel, WhatConfigSaysAboutBiasesIsWhatThereIs) {
  auto with = [&](bool biases, const std::string& says) {
    TinyCheckpoint tiny;
    write_tiny_huggingface(file("says"), tiny);
    tiny.attention_bias = biases;
    write_tiny_huggingface(file("h"), tiny);
    std::string config = *read_small_file(file("says/config.json"), 1 << 20);
    config.insert(config.find('{') + 1, says);
    write_test_file(file("h/config.json"), config);
    return error(file("h"));
  };
  EXPECT_EQ(with(true, ""), "") << "it is used where the file says nothing";
  EXPECT_EQ(with(false, ""), "");
  EXPECT_EQ(with(false, "\"attention_bias\": false,"), "");
  EXPECT_THAT(with(true, "\"attention_bias\": false,"),
              HasSubstr("attention_bias is false, but tensor model.layers.0.self_attn.q_proj.bias is there"));
  EXPECT_THAT(with(false, "\"attention_bias\": true,"),
              HasSubstr("attention_bias is true, but the tensor for layers.0.q_bias is missing"));
}

TEST_F(OpenModel, AHeadBesideATiedEmbeddingRepeatsItOrIsRefused) {
  TinyCheckpoint tiny;
  tiny.config.tied_head = false;
  write_tiny_huggingface(file("h"), tiny);
  std::string config = *read_small_file(file("h/config.json"), 1 << 20);
  const size_t at = config.find("\"tie_word_embeddings\": false");
  config.replace(at, 28, "\"tie_word_embeddings\": true ");
  write_test_file(file("h/config.json"), config);
  EXPECT_THAT(error(file("h")), HasSubstr("tensor lm_head.weight is not the embedding, but config.json says"));
}

// Many small changes of the bytes of every file: each is refused or read, and none ends the process.
TEST_F(OpenModel, DamagedCheckpointsNeverBreakUs) {
  TinyCheckpoint tiny;
  tiny.config.layers = 1;
  tiny.config.dim = tiny.config.ffn = 32;
  tiny.config.heads = tiny.config.kv_heads = 2;
  tiny.generation = {0.25f, 0.9f, 1.125f, 40};
  write_tiny_gguf(file("m.gguf"), tiny);
  write_tiny_huggingface(file("h"), tiny);
  uint64_t state = 7;
  auto random = [&](size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  for (const std::string name : {"m.gguf", "h/config.json", "h/generation_config.json", "h/tokenizer.json",
                                 "h/tokenizer_config.json", "h/model.safetensors"}) {
    const std::string good = *read_small_file(file(name), 64 << 20);
    const size_t interesting = std::min<size_t>(good.size(), 4096);
    for (int round = 0; round < 60; ++round) {
      std::string bytes = good;
      for (int i = 0; i < 3; ++i) bytes[random(interesting)] = "\xff\0[]{}\",:0915\n"[random(14)];
      if (round % 7 == 0) bytes.resize(random(bytes.size()));
      if (round % 11 == 0) bytes.insert(random(std::min(interesting, bytes.size() + 1)), std::string(5000, '['));
      write_test_file(file(name), bytes);
      absl::StatusOr<ModelSource> source = open_model(file(name[0] == 'm' ? "m.gguf" : "h"));
      const std::string message(source.status().message());
      EXPECT_EQ(clean_text(message, 2000), message);
    }
    write_test_file(file(name), good);
  }
}

TEST_F(OpenModel, AFileThatShrinksWhileItIsReadIsNamed) {
  const std::string path = file("m.gguf");
  write_tiny_gguf(path, TinyCheckpoint{});
  absl::StatusOr<ModelSource> source = open_model(path);
  ASSERT_TRUE(source.ok()) << source.status();
  auto shrink_and_read = [&] {
    explain_shortened_files();
    if (::truncate(path.c_str(), 1) != 0) ::_exit(3);
    read_all(*source->find("layers.1.down"));
  };
  EXPECT_EXIT(shrink_and_read(), testing::ExitedWithCode(1),
              "halftone: .*m.gguf: became shorter while it was being read");
}

}  // namespace
}  // namespace halftone
