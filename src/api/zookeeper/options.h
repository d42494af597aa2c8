// What the ZooKeeper API of one member can be told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "api/zookeeper/digest_md5.h"
#include "base/time.h"
#include "wire/zookeeper_frames.h"

namespace witan::api::zookeeper {

struct Options {
  // ZooKeeper's unit of time. Sessions last from two to twenty of them.
  Duration tick = milliseconds(2000);
  Duration min_session{};  // 0: two ticks
  Duration max_session{};  // 0: twenty ticks
  // The node that clients see as "/".
  std::string root = "/";
  // "user:base64 of SHA-1", as digest ids are: who proves to be that id may do everything. Empty: nobody.
  std::string super_digest;
  // Who proves a password by SASL (DIGEST-MD5) is "sasl:user". Null: nobody, and who tries is told so and goes on.
  std::shared_ptr<const SaslUsers> sasl_users;
  // How long a wrong answer there waits for its refusal, so that guessing takes its time. kazoo's start() tells a
  // refusal from a connection that was lost only if it does not come at once.
  Duration sasl_refused_after = milliseconds(100);
  // Whether access lists may name identities of the scheme sasl.
  bool sasl_ids = false;
  // What no client can guess, another on each loop: challenges are made of it.
  uint64_t secret = 0;
  // Connections of one address, over all loops that share a tally (Server::share_addresses); 0: no bound. More are
  // closed at once.
  size_t max_connections_per_address = 60;
  size_t max_connections = 20'000;  // of this loop; further ones are closed at once
  // A longer packet closes its connection (jute.maxbuffer).
  uint32_t max_packet = wire::kDefaultMaxPacket;
  // Whether clients that are content to read are served while no leader is known, and after how long.
  bool read_only = false;
  Duration read_only_after = seconds(2);
  // Whether clients that may write /zookeeper/config change the membership there.
  bool reconfig = false;
  // A connection without a session is closed after this.
  Duration session_within = seconds(10);
  // Requests of one connection that wait for their answer, and their bytes: beyond either nothing more is read from it.
  size_t max_outstanding = 256;
  size_t max_outstanding_bytes = size_t{4} << 20;
  // Unsent bytes above which no further request is begun.
  size_t socket_high = size_t{1} << 20;
  // Unsent bytes above which a connection that is sent yet another event is closed; its client sets its watches again.
  size_t max_unsent = size_t{16} << 20;
  size_t max_watched_paths = 1'000'000;  // of one connection; one more closes it
  size_t max_identities = 64;            // that one connection may prove; one more fails
  Duration stop_grace = seconds(2);      // how long answers may take to leave when the server stops

  Duration shortest_session() const { return min_session > Duration(0) ? min_session : 2 * tick; }
  Duration longest_session() const {
    return std::max(shortest_session(), max_session > Duration(0) ? max_session : 20 * tick);
  }
  // Between two reports to the leader of who is alive (core L6).
  Duration report_interval() const { return std::clamp<Duration>(tick / 4, milliseconds(20), milliseconds(500)); }
};

}  // namespace witan::api::zookeeper
