// What the API promises before it knows: an answer's size, compared with real answers; and deadlines far away.
#include <gtest/gtest.h>

#include "server/api/answer_size.h"
#include "server/api/validate.h"
#include "server/rpc/call_deadline.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

TEST(AnswerSize, IsNeverBelowTheAnswer) {
  LiveServer server;
  const TestRules fixture;
  for (uint32_t top : {0u, 5u, 20u}) {
    v1::ScoreRequest score;
    score.set_text("the one that they have, the one that they know \xe2\x82\xac");
    score.set_top_n(top);
    const auto scored = server.client().score(score);
    ASSERT_TRUE(scored.ok()) << scored.status();
    const auto request = make_score_request(score, fixture.rules, {});
    EXPECT_LE(scored->ByteSizeLong(), most_answer_bytes(*request, fixture.rules));
    v1::GenerateRequest generate = text_request(score.text(), 100);
    generate.mutable_output()->set_logprobs(top);
    generate.mutable_output()->set_prompt_logprobs(top);
    generate.mutable_output()->set_receipt(true);
    const auto generated = server.client().generate(generate);
    ASSERT_TRUE(generated.ok()) << generated.status();
    const auto asked = make_generate_request(generate, fixture.rules, {});
    EXPECT_LE(generated->ByteSizeLong(), most_answer_bytes(*asked, fixture.rules));
  }
}

TEST(Deadline, HoweverFarAwayItIsNotPast) {
  const gpr_timespec now{1'800'000'000, 0, GPR_CLOCK_REALTIME};
  const auto after = [&](int64_t seconds) {
    return engine_deadline({now.tv_sec + seconds, 500'000'000, GPR_CLOCK_REALTIME}, now, 1000);
  };
  EXPECT_EQ(after(3), 1000 + 3'500'000'000);
  EXPECT_EQ(after(-5), 1000);
  for (int64_t hours : {int64_t{9000}, int64_t{3'000'000}, int64_t{99'999'999}}) {
    EXPECT_EQ(after(hours * 3600), std::nullopt) << hours;
  }
  EXPECT_EQ(engine_deadline(gpr_inf_future(GPR_CLOCK_REALTIME), now, 1000), std::nullopt);
  EXPECT_EQ(engine_deadline(gpr_inf_past(GPR_CLOCK_REALTIME), now, 1000), 1000);
}

}  // namespace
}  // namespace halftone
