#include "verify/wing_gong.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "verify/testing.h"

namespace witan::verify {
namespace {

RegisterCall call(decltype(RegisterCall::action) action, int64_t invoked, int64_t returned,
                  Outcome outcome = Outcome::Ok) {
  return {.action = std::move(action), .invoked = at_ms(invoked), .returned = at_ms(returned), .outcome = outcome};
}
RegisterRead read(RegisterValue value) { return {.value = std::move(value)}; }
RegisterWrite write(std::string value) { return {.value = std::move(value)}; }
RegisterCompareAndSet swap(RegisterValue expected, RegisterValue desired, bool swapped) {
  return {.expected = std::move(expected), .desired = std::move(desired), .swapped = swapped};
}

Verdict verdict(const std::vector<RegisterCall>& calls, const RegisterOptions& options = {}) {
  const RegisterJudgement judgement = check_register(calls, options);
  EXPECT_EQ(judgement.violations.size(), judgement.verdict == Verdict::NotLinearizable ? 1U : 0U);
  return judgement.verdict;
}

#define EXPECT_ACCEPTED(...) EXPECT_EQ(verdict({__VA_ARGS__}), Verdict::Linearizable)
#define EXPECT_REJECTED(...) EXPECT_EQ(verdict({__VA_ARGS__}), Verdict::NotLinearizable)

TEST(RegisterChecker, AcceptsNothing) { EXPECT_EQ(verdict({}), Verdict::Linearizable); }

TEST(RegisterChecker, AcceptsOneCallAfterTheOther) {
  EXPECT_ACCEPTED(call(read(std::nullopt), 1, 2), call(write("a"), 3, 4), call(read("a"), 5, 6),
                  call(swap("a", "b", true), 7, 8), call(swap("a", "c", false), 9, 10), call(RegisterDelete{}, 11, 12),
                  call(swap(std::nullopt, "d", true), 13, 14), call(read("d"), 15, 16));
}

TEST(RegisterChecker, AcceptsOverlappingCallsInTheOrderThatFits) {
  EXPECT_ACCEPTED(call(write("a"), 1, 10), call(write("b"), 1, 10), call(read("b"), 2, 3), call(read("a"), 4, 5));
  EXPECT_ACCEPTED(call(write("a"), 1, 10), call(read(std::nullopt), 2, 3), call(read("a"), 4, 5));
}

TEST(RegisterChecker, AcceptsCallsThatTouchInTime) {
  EXPECT_ACCEPTED(call(write("a"), 1, 2), call(read(std::nullopt), 2, 3));
}

TEST(RegisterChecker, AcceptsAnUnknownWriteNowLaterOrNever) {
  const RegisterCall lost = call(write("a"), 1, 2, Outcome::Unknown);
  EXPECT_ACCEPTED(lost, call(read("a"), 3, 4));
  EXPECT_ACCEPTED(lost, call(read(std::nullopt), 3, 4), call(read("a"), 5, 6));
  EXPECT_ACCEPTED(lost, call(read(std::nullopt), 3, 4));
  EXPECT_ACCEPTED(call(swap(std::nullopt, "a", false), 1, 2, Outcome::Unknown), call(read("a"), 3, 4));
  EXPECT_ACCEPTED(call(write("b"), 1, 2), call(RegisterDelete{}, 3, 4, Outcome::Unknown),
                  call(read(std::nullopt), 5, 6));
}

TEST(RegisterChecker, AcceptsAnUnknownReadOfAnything) {
  EXPECT_ACCEPTED(call(read("x"), 1, 2, Outcome::Unknown), call(read("y"), 1, 2, Outcome::Failed));
}

TEST(RegisterChecker, AcceptsAnInitialValue) {
  EXPECT_EQ(verdict({call(read("x"), 1, 2)}, {.initial = "x"}), Verdict::Linearizable);
}

TEST(RegisterChecker, RejectsAStaleRead) {
  EXPECT_REJECTED(call(write("a"), 1, 2), call(write("b"), 3, 4), call(read("a"), 5, 6));
}

TEST(RegisterChecker, RejectsAReadOfWhatNobodyWrote) { EXPECT_REJECTED(call(write("a"), 1, 5), call(read("b"), 2, 4)); }

TEST(RegisterChecker, RejectsALostWrite) { EXPECT_REJECTED(call(write("a"), 1, 2), call(read(std::nullopt), 3, 4)); }

TEST(RegisterChecker, RejectsReadsThatGoBack) {
  EXPECT_REJECTED(call(write("a"), 1, 10), call(read("a"), 2, 3), call(read(std::nullopt), 4, 5));
}

TEST(RegisterChecker, RejectsAFailedWriteThatIsRead) {
  EXPECT_REJECTED(call(write("a"), 1, 2, Outcome::Failed), call(read("a"), 3, 4));
}

TEST(RegisterChecker, RejectsAnUnknownWriteThatIsReadBeforeItWasInvoked) {
  EXPECT_REJECTED(call(read("a"), 1, 2), call(write("a"), 3, 4, Outcome::Unknown));
}

TEST(RegisterChecker, RejectsAnUnknownWriteThatHappensTwice) {
  EXPECT_REJECTED(call(write("a"), 1, 2, Outcome::Unknown), call(read("a"), 3, 4), call(RegisterDelete{}, 5, 6),
                  call(read("a"), 7, 8));
}

TEST(RegisterChecker, RejectsTwoSwapsOfOneValue) {
  EXPECT_REJECTED(call(write("a"), 1, 2), call(swap("a", "b", true), 3, 9), call(swap("a", "c", true), 3, 9));
}

TEST(RegisterChecker, RejectsASwapThatShouldHaveSucceeded) {
  EXPECT_REJECTED(call(write("a"), 1, 2), call(swap("a", "b", false), 3, 4));
}

TEST(RegisterChecker, RejectsADeleteThatIsForgotten) {
  EXPECT_REJECTED(call(write("a"), 1, 2), call(RegisterDelete{}, 3, 4), call(read("a"), 5, 6));
}

TEST(RegisterChecker, ShowsTheFirstCallThatNoOrderExplains) {
  std::vector<RegisterCall> calls;
  for (int64_t i = 0; i < 50; ++i) {
    calls.push_back(call(write(fmt::format("{}", i)), 10 * i, 10 * i + 3));
    calls.push_back(call(read(fmt::format("{}", i)), 10 * i + 4, 10 * i + 6));
  }
  calls.push_back(call(read("40"), 455, 456));  // between the writes of 45 and 46
  const RegisterJudgement judgement = check_register(calls);
  ASSERT_EQ(judgement.violations.size(), 1U);
  const std::vector<std::string>& window = judgement.violations[0].window;
  EXPECT_EQ(window.front(), "after 31 others");
  EXPECT_EQ(window.back(), R"([455.000000ms, 456.000000ms] ok: read "40")");
  EXPECT_EQ(window[window.size() - 2], R"([450.000000ms, 453.000000ms] ok: write "45")");
}

TEST(RegisterChecker, SaysWhenItIsTooHard) {
  std::vector<RegisterCall> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(call(write(fmt::format("{}", i)), 1, 10));
  calls.push_back(call(read("x"), 11, 12));
  EXPECT_EQ(verdict(calls, {.step_budget = 1000}), Verdict::Undecided);
  EXPECT_EQ(verdict(calls), Verdict::NotLinearizable);
}

// ---- The slow twin ------------------------------------------------------------------------------

// Tries every order of every subset that has all Ok calls: the definition of linearizability, word for word.
bool brute_force(const std::vector<RegisterCall>& calls, std::vector<bool>& done, const RegisterValue& value) {
  const auto must_wait = [&](const RegisterCall& later) {
    for (size_t i = 0; i < calls.size(); ++i) {
      if (!done[i] && calls[i].outcome == Outcome::Ok && calls[i].returned < later.invoked) return true;
    }
    return false;
  };
  bool all = true;
  for (size_t i = 0; i < calls.size(); ++i) all = all && (done[i] || calls[i].outcome != Outcome::Ok);
  if (all) return true;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (done[i] || calls[i].outcome == Outcome::Failed || must_wait(calls[i])) continue;
    const bool known = calls[i].outcome == Outcome::Ok;
    RegisterValue next = value;
    if (const auto* reads = std::get_if<RegisterRead>(&calls[i].action)) {
      if (known && reads->value != value) continue;
    } else if (const auto* writes = std::get_if<RegisterWrite>(&calls[i].action)) {
      next = writes->value;
    } else if (const auto* swaps = std::get_if<RegisterCompareAndSet>(&calls[i].action)) {
      const bool can = swaps->expected == value;
      if (known && swaps->swapped != can) continue;
      if (can) next = swaps->desired;
    } else {
      next.reset();
    }
    done[i] = true;
    if (brute_force(calls, done, next)) return true;
    done[i] = false;
  }
  return false;
}

// Of eight calls, `lost` lose their answer.
RegisterCall random_call(Rng& rng, uint64_t lost) {
  const auto value = [&]() -> RegisterValue {
    if (rng.chance(1, 4)) return std::nullopt;
    return std::string(1, static_cast<char>('a' + rng.below(2)));
  };
  const int64_t invoked = rng.between(0, 12);
  const uint64_t luck = rng.below(8);
  const Outcome outcome = luck == 0 ? Outcome::Failed : luck <= lost ? Outcome::Unknown : Outcome::Ok;
  RegisterCall made = call(RegisterDelete{}, invoked, invoked + rng.between(0, 5), outcome);
  switch (rng.below(5)) {
    case 0:
    case 1: made.action = read(value()); break;
    case 2: made.action = write(value().value_or("a")); break;
    case 3: made.action = swap(value(), value(), rng.chance(1, 2)); break;
    default: break;
  }
  return made;
}

TEST(RegisterChecker, AgreesWithItsTwinOnRandomHistories) {
  Rng rng(7);
  int linearizable = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<RegisterCall> calls;
    for (uint64_t n = rng.between(1, 6); n > 0; --n) calls.push_back(random_call(rng, round % 2 == 0 ? 1 : 5));
    std::vector<bool> done(calls.size());
    const bool expected = brute_force(calls, done, std::nullopt);
    linearizable += expected ? 1 : 0;
    const RegisterJudgement judgement = check_register(calls);
    ASSERT_EQ(judgement.verdict, expected ? Verdict::Linearizable : Verdict::NotLinearizable)
        << "round " << round << "\n"
        << told(judgement.violations);
  }
  EXPECT_GT(linearizable, kRounds / 10);
  EXPECT_LT(linearizable, kRounds * 9 / 10);
}

// ---- Size -----------------------------------------------------------------------------------------

// A history of `size` calls, some of them at a time, as a right register would have made it: each takes effect at an
// instant of its own between its invocation and its return, and a tenth loses its answer.
std::vector<RegisterCall> right_history(Rng& rng, int size) {
  std::vector<std::pair<int64_t, RegisterCall>> by_effect;
  for (int i = 0; i < size; ++i) {
    const int64_t effect = i * 10;
    RegisterCall made = call(read(std::nullopt), effect - rng.between(1, 20), effect + rng.between(1, 20));
    if (rng.chance(1, 3)) made.action = write(fmt::format("{}", i));
    if (rng.chance(1, 4)) made.action = swap(std::nullopt, fmt::format("{}", i), false);
    if (rng.chance(1, 20)) made.action = RegisterDelete{};
    by_effect.emplace_back(effect, made);
  }
  RegisterValue value;
  std::vector<RegisterCall> calls;
  for (auto& [effect, made] : by_effect) {
    if (auto* reads = std::get_if<RegisterRead>(&made.action)) {
      reads->value = value;
    } else if (auto* writes = std::get_if<RegisterWrite>(&made.action)) {
      value = writes->value;
    } else if (auto* swaps = std::get_if<RegisterCompareAndSet>(&made.action)) {
      if (rng.chance(2, 3)) swaps->expected = value;
      swaps->swapped = swaps->expected == value;
      if (swaps->swapped) value = swaps->desired;
    } else {
      value.reset();
    }
    if (rng.chance(1, 10)) made.outcome = Outcome::Unknown;
    calls.push_back(made);
  }
  return calls;
}

TEST(RegisterChecker, DecidesHistoriesOfHundredsOfCalls) {
  Rng rng(3);
  for (int round = 0; round < 10; ++round) {
    std::vector<RegisterCall> calls = right_history(rng, 300);
    EXPECT_EQ(verdict(calls), Verdict::Linearizable);
    // A read that comes late, of a value that was overwritten long before.
    const auto old = std::ranges::find_if(calls, [](const RegisterCall& c) {
      return c.outcome == Outcome::Ok && std::holds_alternative<RegisterWrite>(c.action);
    });
    ASSERT_NE(old, calls.end());
    calls.push_back(call(read(std::get<RegisterWrite>(old->action).value), 2000, 2001));
    EXPECT_EQ(verdict(calls), Verdict::NotLinearizable);
  }
}

TEST(RegisterChecker, DescribesACallInALine) {
  EXPECT_EQ(describe(call(swap(std::nullopt, "a", true), 1, 2)),
            R"([1.000000ms, 2.000000ms] ok: swap nothing for "a" => yes)");
  EXPECT_EQ(describe(call(write("a"), 1, 2, Outcome::Unknown)), R"([1.000000ms, never] unknown: write "a")");
  EXPECT_EQ(describe(call(read(std::nullopt), 1, 2)), "[1.000000ms, 2.000000ms] ok: read nothing");
}

}  // namespace
}  // namespace witan::verify
