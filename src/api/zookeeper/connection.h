// One client's connection: bytes to requests, requests to the member, answers and news to bytes.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/answer_queue.h"
#include "api/zookeeper/digest_md5.h"
#include "api/zookeeper/identities.h"
#include "api/zookeeper/records.h"
#include "api/zookeeper/service.h"
#include "api/zookeeper/set_watches.h"
#include "env/network.h"
#include "wire/zookeeper_frames.h"

namespace witan::api::zookeeper {

class Connection final : private env::ConnectionHandler {
 public:
  Connection(Service& service, uint32_t id, std::unique_ptr<env::Connection> socket);
  // Forgets its watches; the session lives on.
  ~Connection() override;
  void start();

  // Takes what is to be said to the socket, and begins what had to wait.
  void flush();
  // What was said leaves, then the connection closes. Requests without an answer get none.
  void close(std::string_view reason);

  // ---- news
  // `packet` is an encoded notification.
  void on_event(const WatchEvent& event, std::string_view packet);
  void on_ping_confirmed(uint64_t request);
  // The session is over, or was attached elsewhere.
  void on_session(uint64_t generation);
  void on_gap();

  const std::string& address() const { return identities_.address(); }
  store::LeaseId session() const { return session_; }
  bool is_read_only() const { return read_only_; }
  // Of its session's time half is for the client, who needs it to find another member.
  bool can_wait(Duration silence) const { return 2 * silence <= milliseconds(timeout_ms_); }
  ConnectionStatistics statistics() const;
  void reset_statistics();

 private:
  enum class Stage : uint8_t {
    Fresh,    // no session was asked for
    Word,     // a four-letter word was, and what follows it means nothing
    Opening,  // the member was asked for one
    Open,
    Leaving,  // closeSession is under way: no further request is begun
    Closing,
  };
  using Number = uint64_t;

  // env::ConnectionHandler
  void on_bytes(std::string_view bytes) override;
  void on_drained() override { flush(); }
  void on_closed(std::string_view reason) override;

  // ---- connection.cc: packets, in order
  void on_packet(std::string_view packet);
  void on_word(std::string_view word);
  bool may_begin() const;
  void begin_waiting();
  void push_back();
  void touched();
  void leave();
  void say(Chain packet, int64_t zxid);
  bool may_hear(std::string_view acl) const;
  void arm_timer(Instant when);
  void on_timer();

  // ---- handshake.cc
  void on_connect(std::string_view packet);
  void open_session(const ConnectRequest& request, int64_t timeout_ms);
  void open_local(const ConnectRequest& request, int64_t timeout_ms);
  void on_session_outcome(const node::Outcome& outcome);
  void opened(store::LeaseId session, int64_t timeout_ms);
  void refuse_session();
  void count_sent(std::string_view operation);

  // ---- requests.cc
  // False: not before everything that was begun is answered.
  bool begin(std::string_view packet);
  node::Caller caller() const;
  void write(Number number, const store::Body& body);
  template <class Request>
  void write_one(Number number, const Request& request);
  void read(Number number, const store::NodeReads& reads);
  void read_one(Number number, store::NodeQuery query, std::string_view path, bool watch);
  void run(Number number, const RequestBody& body);
  void run(Number number, const CreateRequest& request);
  void run(Number number, const DeleteRequest& request);
  void run(Number number, const DeleteContainerRequest& request);
  void run(Number number, const SetDataRequest& request);
  void run(Number number, const SetAclRequest& request);
  void run(Number number, const MultiRequest& request);
  void run(Number number, const ExistsRequest& request);
  void run(Number number, const GetDataRequest& request);
  void run(Number number, const GetAclRequest& request);
  void run(Number number, const GetChildrenRequest& request);
  void run(Number number, const GetAllChildrenNumberRequest& request);
  void run(Number number, const GetEphemeralsRequest& request);
  void run(Number number, const MultiReadRequest& request);
  void run(Number number, const SyncRequest& request);
  void run(Number number, const PingRequest& request);
  void run(Number number, const CheckWatchesRequest& request);
  void run(Number number, const RemoveWatchesRequest& request);
  void run(Number number, const AddWatchRequest& request);
  void run(Number number, const AuthRequest& request);
  void run(Number number, const SaslRequest& request);
  void refuse_token(Number number);
  void run(Number number, const WhoAmIRequest& request);
  void run(Number number, const CloseSessionRequest& request);

  // ---- answers.cc
  void on_written(Number number, const node::Outcome& outcome);
  void on_read(Number number, node::Answer<node::Done> answer);
  void on_synced(Number number, bool done, const std::optional<std::string>& path);
  void on_session_closed(Number number, const node::Outcome& outcome);
  void answer_write(Number number, const Slot& slot, const store::NodeTxnResult& result);
  void answer_item(Number number, const Slot& slot, const store::NodeReadsResult::Item& item);
  void answer_names(Number number, const Slot& slot, const store::NodeReadsResult::Item& item);
  void answer_multi_read(Number number, const Slot& slot, const store::NodeReadsResult& result);
  template <class Body>
  void reply(Number number, const Slot& slot, const Body& body);
  void reply_stateless(Number number, const ReplyBody& body);
  // A header alone: errors, and successes that say no more.
  void fail(Number number, ErrorCode error);
  // The same, and nothing follows it.
  void fail_last(Number number, ErrorCode error);
  void cut(Number number);
  // False: that was one too many, and the connection closes.
  bool watch(std::string_view path, WatchKinds kinds);

  // ---- set_watches.cc
  void run(Number number, const SetWatchesRequest& request);
  void next_history();
  void on_history(Number number, const node::Answer<node::History>& answer);
  void tell_missed(const store::NodeEvent& event, store::Revision revision);
  void arm_persistent();
  void read_watched();
  void on_watched(Number number, const node::Answer<node::Done>& answer);
  void judge(const SetWatches::Item& item, const store::NodeReadsResult::Item& now);
  void say_event(EventType type, std::string_view path, int64_t zxid);

  // ---- reconfig.cc
  void run(Number number, const ReconfigRequest& request);
  void check_reconfig(Number number, int64_t config_id, std::expected<node::ReplaceMembers, ErrorCode> change);
  void begin_reconfig(Number number, node::ReplaceMembers change, store::NodeReadsResult::Item config);
  void on_reconfigured(Number number, const std::expected<node::MembersChanged, node::MemberFailure>& result,
                       store::NodeReadsResult::Item config);

  Service& service_;
  const uint32_t id_;
  std::unique_ptr<env::Connection> socket_;
  wire::ZookeeperFramer framer_;
  AnswerQueue answers_;
  Identities identities_;
  std::unique_ptr<DigestMd5> sasl_;  // once its client has begun
  Number refused_ = 0;               // the wrong token, whose refusal waits for the timer
  Chain out_;
  std::vector<std::string> waiting_;         // packets that may not begin yet, oldest first
  std::unique_ptr<SetWatches> set_watches_;  // the one under way

  Stage stage_ = Stage::Fresh;
  bool gone_ = false;
  bool flushed_ = false;       // the socket was told to close
  bool ends_session_ = false;  // by its client's wish
  bool paused_ = false;
  bool in_turn_ = false;         // flush() follows anyway
  bool read_only_ = false;       // of a session that only this member knows
  bool says_read_only_ = false;  // the client knows the byte
  store::LeaseId session_;
  uint64_t generation_ = 0;
  int64_t timeout_ms_ = 0;
  node::Ticket last_write_ = 0;
  uint64_t heard_round_ = 0;     // of Liveness: when its session was heard of last
  uint64_t reported_round_ = 0;  // and before that
  env::TimerId timer_ = 0;

  ConnectionStatistics statistics_;
};

}  // namespace witan::api::zookeeper
