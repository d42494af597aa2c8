#include "store/batch_writer.h"

#include "base/check.h"
#include "store/accounting.h"

namespace witan::store {

VersionRef BatchWriter::put(const Put& put) {
  Index::Place place = state_.index.find(put.key);
  VersionRef before;
  if (place.found()) {
    before = place.chain().latest_ref();
  } else {
    state_.index.insert(place, Blob(put.key));
  }
  auto* const after = new Version;
  after->create_revision = before ? before->create_revision : at_;
  after->mod_revision = at_;
  after->version = before ? before->version + 1 : 1;
  after->created = before ? before->created : stamp_;
  after->modified = stamp_;
  if (put.ignore_lease) {
    after->lease = before ? before->lease : LeaseId(0);
  } else {
    after->lease = put.lease;
  }
  after->value = put.ignore_value ? (before ? before->value : Blob(std::string_view())) : Blob(put.value);
  change(place, VersionRef(after));
  return before;
}

int64_t BatchWriter::delete_range(const KeyRangeView& range, std::vector<KeyVersion>* previous) {
  int64_t deleted = 0;
  for (Index::Place place = state_.index.seek(range.begin); place.found() && range.contains(place.key());
       state_.index.advance(place)) {
    if (!place.chain().is_live()) continue;
    if (previous != nullptr) previous->push_back({place.key(), place.chain().latest_ref()});
    change(place, VersionRef());
    ++deleted;
  }
  return deleted;
}

void BatchWriter::change(Index::Place& place, VersionRef after) {
  changed_ = true;
  const Blob& key = place.key();
  VersionChain& chain = place.chain();
  const VersionRef before = chain.latest_ref();
  const bool again = !chain.empty() && chain.latest_revision() == at_;
  if (before) {
    state_.digest.remove(digest_of(key, *before));
    state_.data_bytes -= bytes_of_row(key, *before);
  }
  if (after) {
    state_.digest.add(digest_of(key, *after));
    state_.data_bytes += bytes_of_row(key, *after);
  }
  chain.push(at_, after);
  move_lease(key, before.get(), after.get());
  if (static_cast<bool>(before) != static_cast<bool>(after)) {
    state_.index.add_live(place, after ? 1 : -1);
    if (after) {
      state_.directories.appeared(key, at_);
    } else {
      state_.directories.vanished(key, at_);
    }
  }
  if (again) {
    amend(key, std::move(after));
    return;
  }
  if (batch_ == nullptr) batch_ = std::make_shared<ChangeBatch>();
  batch_->changes.push_back({key, before, std::move(after)});
  if (amending_) positions_.emplace(batch_->changes.back().key.view(), batch_->changes.size() - 1);
}

// A key that changes twice in one revision stands once in its batch, at its first place with its last content. APIs
// refuse such transactions, but for what etcd overlooks: a delete to the end of all keys beside a put, and one of what
// an earlier nested transaction puts.
void BatchWriter::amend(std::string_view key, VersionRef after) {
  if (!amending_) {
    amending_ = true;
    for (size_t i = 0; i < batch_->changes.size(); ++i) positions_.emplace(batch_->changes[i].key.view(), i);
  }
  batch_->changes[positions_.at(key)].after = std::move(after);
}

void BatchWriter::move_lease(const Blob& key, const Version* before, const Version* after) {
  const LeaseId from = before == nullptr ? LeaseId(0) : before->lease;
  const LeaseId to = after == nullptr ? LeaseId(0) : after->lease;
  if (from == to) return;
  if (from != LeaseId(0)) state_.leases.detach(from, key);
  if (to != LeaseId(0)) state_.leases.attach(to, key);
}

// What appeared and vanished in the same revision was never there.
void BatchWriter::drop_nothings() {
  std::erase_if(batch_->changes, [this](const Change& change) {
    if (change.before || change.after) return false;
    Index::Place place = state_.index.find(change.key);
    place.chain().pop(at_);
    if (place.chain().empty()) state_.index.erase(place);
    return true;
  });
}

ChangeBatchPtr BatchWriter::commit() {
  if (!changed_) return nullptr;
  if (amending_) drop_nothings();
  positions_.clear();
  batch_->revision = at_;
  batch_->bytes = batch_bytes_of(*batch_);
  state_.revision = at_;
  ChangeBatchPtr batch = std::move(batch_);
  state_.history.append(batch, state_.largest_stamp);
  return batch;
}

}  // namespace witan::store
