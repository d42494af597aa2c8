#include "api/zookeeper/statistics.h"

namespace witan::api::zookeeper {

void ServerStatistics::add(const ServerStatistics& other) {
  connections += other.connections;
  sessions += other.sessions;
  read_only_sessions += other.read_only_sessions;
  outstanding += other.outstanding;
  received += other.received;
  sent += other.sent;
  bytes_received += other.bytes_received;
  latency.add(other.latency);
  connections_accepted += other.connections_accepted;
  connections_refused += other.connections_refused;
  sessionless_closed += other.sessionless_closed;
  authentications_failed += other.authentications_failed;
  stale_closed += other.stale_closed;
  watches_fired += other.watches_fired;
  watches += other.watches;
  watched_paths += other.watched_paths;
  watching_connections += other.watching_connections;
}

std::string_view operation_name(int32_t type) {
  switch (OpCode{type}) {
    case OpCode::Error: break;
    case OpCode::CloseSession: return "CLOS";
    case OpCode::Create:
    case OpCode::Create2:
    case OpCode::CreateContainer:
    case OpCode::CreateTtl: return "CREA";
    case OpCode::Delete:
    case OpCode::DeleteContainer: return "DELE";
    case OpCode::Exists: return "EXIS";
    case OpCode::GetData: return "GETD";
    case OpCode::SetData: return "SETD";
    case OpCode::GetAcl: return "GETA";
    case OpCode::SetAcl: return "SETA";
    case OpCode::GetChildren:
    case OpCode::GetChildren2: return "GETC";
    case OpCode::Sync: return "SYNC";
    case OpCode::Ping: return "PING";
    case OpCode::Check: return "CHEC";
    case OpCode::Multi: return "MULT";
    case OpCode::Reconfig: return "RECO";
    case OpCode::CheckWatches: return "CHKW";
    case OpCode::RemoveWatches: return "REMW";
    case OpCode::MultiRead: return "MLTR";
    case OpCode::Auth: return "AUTH";
    case OpCode::SetWatches: return "SETW";
    case OpCode::Sasl: return "SASL";
    case OpCode::GetEphemerals: return "GETE";
    case OpCode::GetAllChildrenNumber: return "GACN";
    case OpCode::SetWatches2: return "STW2";
    case OpCode::AddWatch: return "ADDW";
    case OpCode::WhoAmI: return "HOMI";
  }
  return "NA";
}

}  // namespace witan::api::zookeeper
