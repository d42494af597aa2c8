// Tables whose rows have no versions, and walking them as they were (core S4).
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <absl/container/btree_map.h>

namespace witan::store {

// An ordered map that can be walked in slices as it was when the walk began, while rows come, go and change: a row that
// a walk has not passed yet leaves its old content with the walk before it changes.
// Row is copied then, so it is small. Less may be transparent.
template <class Key, class Row, class Less = std::less<Key>>
class Table {
 private:
  using Map = absl::btree_map<Key, Row, Less>;
  struct Walking {
    std::optional<Key> passed;                            // rows up to here are done
    absl::btree_map<Key, std::optional<Row>, Less> kept;  // how not yet passed rows were; nullopt: absent
  };

 public:
  size_t size() const { return rows_.size(); }
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }

  template <class K>
  const Row* find(const K& key) const {
    const auto it = rows_.find(key);
    return it == rows_.end() ? nullptr : &it->second;
  }
  // The first row above `key`.
  template <class K>
  auto upper_bound(const K& key) const {
    return rows_.upper_bound(key);
  }
  // The row to be changed, null when absent.
  template <class K>
  Row* edit(const K& key) {
    const auto it = rows_.find(key);
    if (it == rows_.end()) return nullptr;
    keep(it->first, it->second);
    return &it->second;
  }
  // Requires that the key is absent.
  Row& insert(Key key, Row row) {
    keep(key, std::nullopt);
    return rows_.emplace(std::move(key), std::move(row)).first->second;
  }
  // Requires that the key is there.
  template <class K>
  void erase(const K& key) {
    const auto it = rows_.find(key);
    keep(it->first, it->second);
    rows_.erase(it);
  }

  // The rows as they were when it was made, in key order. Ends with its destruction; next() requires the table.
  class Walk {
   public:
    explicit Walk(Table& table) : table_(&table), walking_(std::make_shared<Walking>()) {
      table.walks_.push_back(walking_);
    }
    // The next row, nullopt past the last.
    std::optional<std::pair<Key, Row>> next() {
      for (;;) {
        const auto live = walking_->passed ? table_->rows_.upper_bound(*walking_->passed) : table_->rows_.begin();
        const auto kept = walking_->kept.begin();
        const bool has_live = live != table_->rows_.end();
        if (!has_live && kept == walking_->kept.end()) return std::nullopt;
        if (kept == walking_->kept.end() || (has_live && table_->rows_.key_comp()(live->first, kept->first))) {
          walking_->passed = live->first;
          return std::pair<Key, Row>(live->first, live->second);
        }
        std::pair<Key, std::optional<Row>> row(kept->first, std::move(kept->second));
        walking_->kept.erase(kept);
        walking_->passed = row.first;
        if (row.second) return std::pair<Key, Row>(std::move(row.first), std::move(*row.second));
      }
    }

   private:
    Table* table_;
    std::shared_ptr<Walking> walking_;
  };

 private:
  void keep(const Key& key, const std::optional<Row>& row) {
    if (walks_.empty()) return;
    std::erase_if(walks_, [](const std::weak_ptr<Walking>& walk) { return walk.expired(); });
    for (const std::weak_ptr<Walking>& walk : walks_) {
      const std::shared_ptr<Walking> walking = walk.lock();
      const bool passed = walking->passed && !rows_.key_comp()(*walking->passed, key);
      if (!passed) walking->kept.try_emplace(key, row);
    }
  }

  Map rows_;
  std::vector<std::weak_ptr<Walking>> walks_;
};

}  // namespace witan::store
