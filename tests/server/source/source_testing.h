// What the tests of the readers share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/source/model_source.h"
#include "tests/support/checkpoint_tiny.h"

namespace halftone {

inline std::vector<float> read_all(const SourceTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.cols()));
  absl::Status status = tensor.read_rows(0, tensor.rows(), values);
  EXPECT_TRUE(status.ok()) << status;
  return values;
}

inline std::vector<std::string> tensor_names(const ModelSource& source) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : source.tensors) names.push_back(name);
  return names;
}

inline void expect_same_config(const TinyConfig& a, const TinyConfig& b) {
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.dim, b.dim);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.kv_heads, b.kv_heads);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.ffn, b.ffn);
  EXPECT_EQ(a.vocabulary, b.vocabulary);
  EXPECT_EQ(a.rms_epsilon, b.rms_epsilon);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.tied_head, b.tied_head);
}

inline void expect_same_tensors(const ModelSource& a, const ModelSource& b) {
  EXPECT_EQ(tensor_names(a), tensor_names(b));
  for (const auto& [name, tensor] : a.tensors) {
    ASSERT_NE(b.find(name), nullptr) << name;
    EXPECT_EQ(read_all(*tensor), read_all(*b.find(name))) << name;
  }
}

}  // namespace halftone
