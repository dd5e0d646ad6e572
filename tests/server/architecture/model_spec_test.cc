#include "server/architecture/model_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/support/checkpoint_tiny.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::Status changed(const std::function<void(ModelSpec&)>& change) {
  ModelSpec spec = tiny_spec({});
  change(spec);
  return check_spec(spec, "m/config.json");
}

std::string error_of(const std::function<void(LayerSpec&)>& change) {
  return std::string(changed([&](ModelSpec& spec) { change(spec.layers[1]); }).message());
}

TEST(ModelSpec, SizesThatNoKernelTakesAreRefused) {
  EXPECT_TRUE(changed([](ModelSpec&) {}).ok());
  EXPECT_THAT(error_of([](LayerSpec& l) { l.kv_heads = 3; }),
              HasSubstr("m/config.json: layer 1: 4 heads, expected a multiple of the 3 KV heads"));
  EXPECT_THAT(error_of([](LayerSpec& l) { l.head_dim = 15; }), HasSubstr("head size 15, expected an even number"));
  EXPECT_THAT(error_of([](LayerSpec& l) { l.head_dim = 258; }), HasSubstr("head size = 258, expected 1 to 256"));
  EXPECT_THAT(error_of([](LayerSpec& l) { l.heads = 65, l.kv_heads = 1; }),
              HasSubstr("65 heads share 1 KV heads, expected at most 64 to each"));
  EXPECT_THAT(error_of([](LayerSpec& l) { l.window = -1; }), HasSubstr("sliding window = -1, expected 0 to"));
  for (int64_t LayerSpec::*size : {&LayerSpec::heads, &LayerSpec::kv_heads, &LayerSpec::head_dim, &LayerSpec::ffn}) {
    EXPECT_THAT(error_of([&](LayerSpec& l) { l.*size = 0; }), HasSubstr("= 0, expected 1 to"));
  }
  for (int64_t ModelSpec::*size : {&ModelSpec::dim, &ModelSpec::vocabulary, &ModelSpec::context}) {
    EXPECT_EQ(changed([&](ModelSpec& spec) { spec.*size = 0; }).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(changed([](ModelSpec& spec) { spec.layers.clear(); }).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(changed([](ModelSpec& spec) { spec.ropes[0].theta = NAN; }).message()),
              HasSubstr("rope theta = nan"));
}

TEST(ModelSpec, WhatEveryLayerHasIsSaidOfTheFileAlone) {
  const absl::Status status = changed([](ModelSpec& spec) {
    for (LayerSpec& layer : spec.layers) layer.head_dim = 15;
  });
  EXPECT_EQ(std::string(status.message()), "m/config.json: head size 15, expected an even number");
}

}  // namespace
}  // namespace halftone
