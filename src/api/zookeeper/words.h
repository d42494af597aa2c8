// Answers the four-letter words of one loop's connections.
#pragma once

#include "api/zookeeper/four_letter.h"
#include "api/zookeeper/operators.h"

namespace witan::api::zookeeper {

// Known: ruok srvr stat cons conf envi mntr dump wchs wchc wchp dirs isro crst srst hash gtmk stmk. Any other word
// closes its connection, as in ZooKeeper.
class Words final : public FourLetterWords {
 public:
  // `operators` outlives this.
  explicit Words(Operators& operators) : operators_(operators) {}
  void answer(std::string_view word, Function<void(std::optional<std::string>)> done) override;

 private:
  Operators& operators_;
};

}  // namespace witan::api::zookeeper
