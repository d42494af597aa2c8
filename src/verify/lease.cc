#include "verify/lease.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::verify {
namespace {

class Judge {
 public:
  Judge(const LeaseHistory& lease, const LeaseRules& rules) : lease_(lease), rules_(rules) {
    CHECK(rules.max_drift_per_mille >= 0 && rules.max_drift_per_mille < 1000, "a drift of {} per mille",
          rules.max_drift_per_mille);
  }

  std::vector<Violation> run() {
    for (const Renewal& renewal : lease_.renewals) {
      if (renewal.acknowledged) judge(renewal);
    }
    check_revoked();
    check_early();
    check_late();
    return findings_.take();
  }

 private:
  bool ended_by(Instant now) const { return !lease_.granted || (lease_.ended && *lease_.ended <= now); }

  void judge(const Renewal& renewal) {
    if (renewal.ttl == Duration{0}) {
      if (!ended_by(renewal.returned))
        accuse("phantom", "a renewal is told that there is no such lease", {describe(renewal)});
    } else if (ended_by(renewal.sent - Duration{1})) {
      accuse("lie", "a renewal is acknowledged that was sent after the end", {describe(renewal)});
    }
  }

  void check_revoked() {
    if (!lease_.revoke_acknowledged || ended_by(*lease_.revoke_acknowledged)) return;
    accuse("phantom", "it is said to be revoked", {"said at " + describe(*lease_.revoke_acknowledged)});
  }

  void check_early() {
    if (!lease_.ended || (lease_.revoke_sent && *lease_.revoke_sent <= *lease_.ended)) return;
    promise("as granted", lease_.grant_sent, lease_.ttl, {});
    for (const Renewal& renewal : lease_.renewals) {
      const bool held = renewal.acknowledged && renewal.ttl > Duration{0} && renewal.sent <= *lease_.ended;
      if (held) promise("as renewed", renewal.sent, renewal.ttl, {describe(renewal)});
    }
  }

  // A member's clock may run fast, and then a TTL passes sooner than in the world.
  void promise(std::string_view how, Instant from, Duration ttl, std::vector<std::string> window) {
    const Instant until = from + Duration(ttl.count() / 1000 * (1000 - rules_.max_drift_per_mille));
    if (*lease_.ended >= until) return;
    accuse("early", fmt::format("{} it holds until {}", how, describe(until)), std::move(window));
  }

  void check_late() {
    if (!lease_.granted || lease_.abandoned == Instant::never()) return;
    // The last fault may have brought a leader that counts from its election.
    const Duration slowest(lease_.ttl.count() / (1000 - rules_.max_drift_per_mille) * 1000);
    const Instant due = std::max(lease_.abandoned, rules_.end_of_faults) + slowest + rules_.grace;
    if (due > rules_.end_of_world || ended_by(due)) return;
    accuse("late", "it should have ended by " + describe(due), {"abandoned at " + describe(lease_.abandoned)});
  }

  void accuse(std::string rule, std::string what, std::vector<std::string> window) {
    std::string end = !lease_.granted ? "never granted"
                      : lease_.ended  ? "ended at " + describe(*lease_.ended)
                                      : "never ended";
    window.insert(window.begin(), fmt::format("lease {} of {} ms asked for at {}", lease_.id,
                                              lease_.ttl.count() / 1'000'000, describe(lease_.grant_sent)));
    window.push_back(std::move(end));
    findings_.add(std::move(rule), fmt::format("lease {}: {}", lease_.id, what), std::move(window));
  }

  const LeaseHistory& lease_;
  const LeaseRules& rules_;
  Findings findings_;
};

}  // namespace

std::vector<Violation> check_lease(const LeaseHistory& lease, const LeaseRules& rules) {
  return Judge(lease, rules).run();
}

std::string describe(const Renewal& renewal) {
  const std::string answer = !renewal.acknowledged        ? "no answer"
                             : renewal.ttl == Duration{0} ? "no such lease"
                                                          : fmt::format("{} ms", renewal.ttl.count() / 1'000'000);
  return fmt::format("renewal [{}, {}] => {}", describe(renewal.sent), describe(renewal.returned), answer);
}

}  // namespace witan::verify
