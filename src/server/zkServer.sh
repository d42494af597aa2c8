#!/usr/bin/env bash
# Starts, stops and asks a Witan server that a ZooKeeper configuration file describes, with the commands, the variables
# and the answers of ZooKeeper's script of this name, for the scripts and people who call it. It runs the `witan` that
# stands beside it (WITAN_BIN names another one).
#
#   zkServer.sh [--config DIR] {start|start-foreground|stop|restart|status|version|print-cmd} [FILE]
#
# FILE is a path, or a name in the configuration directory (--config, ZOOCFGDIR; default: ../conf beside the script,
# otherwise /etc/zookeeper/conf); without it zoo.cfg (ZOOCFG). -D properties are taken from SERVER_JVMFLAGS and
# JVMFLAGS. The pid is kept in dataDir/zookeeper_server.pid (ZOOPIDFILE), what the server says in
# zookeeper-$USER-server-$HOSTNAME.out in ZOO_LOG_DIR (default: dataDir).
set -u

here="$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
witan="${WITAN_BIN:-$here/witan}"
stop_within_s=30

usage() {
  echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd} [<file>]" >&2
  exit 1
}

fail() {
  echo "$*"
  exit 1
}

# The last value of a key of a configuration file, without blanks around it.
value_of() {
  sed -n -e "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "$2" 2>/dev/null | tail -n 1 | sed -e 's/[[:space:]]*$//'
}

find_config() {
  local directory="${ZOOCFGDIR:-}"
  if [ -z "$directory" ]; then
    directory="$here/../conf"
    [ -d "$directory" ] || directory=/etc/zookeeper/conf
  fi
  config="${1:-${ZOOCFG:-zoo.cfg}}"
  case "$config" in
    */*) ;;
    *) config="$directory/$config" ;;
  esac
  echo "Using config: $config" >&2
  [ -r "$config" ] || fail "$config cannot be read"
  data_dir="$(value_of dataDir "$config")"
  [ -n "$data_dir" ] || fail "$config does not say where dataDir is"
  pid_file="${ZOOPIDFILE:-$data_dir/zookeeper_server.pid}"
  log_file="${ZOO_LOG_DIR:-$data_dir}/zookeeper-${USER:-$(id -un)}-server-${HOSTNAME:-$(uname -n)}.out"
}

# The command in an array: of the flags for a Java machine only properties mean something.
make_command() {
  command=("$witan" zookeeper "$config")
  local flag
  # shellcheck disable=SC2086  # flags are words
  for flag in ${SERVER_JVMFLAGS:-} ${JVMFLAGS:-}; do
    case "$flag" in
      -Dzookeeper.log.* | -Dzookeeper.root.logger=* | -Dlog4j.* | -Dlogback.* | -Djava.awt.* | -Dfile.encoding=* | \
        -Dcom.sun.*) ;;
      -D*) command+=("$flag") ;;
    esac
  done
}

# Whether the process of the pid file is there and is one of ours: numbers are used again.
is_running() {
  local pid
  pid="$(cat "$pid_file" 2>/dev/null)" || return 1
  [[ "$pid" =~ ^[0-9]+$ ]] && kill -0 "$pid" 2>/dev/null && tr '\0' '\n' < "/proc/$pid/cmdline" 2>/dev/null |
    grep -qx zookeeper
}

start() {
  echo -n "Starting zookeeper ... "
  if is_running; then fail "already running as process $(cat "$pid_file")."; fi
  mkdir -p "$data_dir" "$(dirname "$pid_file")" "$(dirname "$log_file")" || exit 1
  make_command
  nohup "${command[@]}" > "$log_file" 2>&1 < /dev/null &
  local pid=$!
  echo -n "$pid" > "$pid_file" || { kill "$pid"; fail "FAILED TO WRITE PID"; }
  sleep 1
  if ! kill -0 "$pid" 2>/dev/null; then
    rm -f "$pid_file"
    echo "FAILED TO START"
    tail -n 1 "$log_file"
    exit 1
  fi
  echo STARTED
}

stop() {
  echo -n "Stopping zookeeper ... "
  if [ ! -f "$pid_file" ]; then
    echo "no zookeeper to stop (could not find file $pid_file)"
    return 0
  fi
  if is_running; then
    local pid step
    pid="$(cat "$pid_file")"
    kill "$pid"
    for ((step = 0; step < stop_within_s * 10; ++step)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then fail "process $pid is still there after $stop_within_s s"; fi
  fi
  rm -f "$pid_file"
  echo STOPPED
}

# Sets address and port to where clients of this server connect.
find_client_port() {
  address="$(value_of clientPortAddress "$config")"
  port="$(value_of clientPort "$config")"
  [ -n "$port" ] || {
    local servers="$config" id line
    [ -z "$(value_of dynamicConfigFile "$config")" ] || servers="$(value_of dynamicConfigFile "$config")"
    id="$(tr -d '[:space:]' < "$data_dir/myid" 2>/dev/null)"
    line="$(value_of "server\\.${id:-[0-9]*}" "$servers")"
    case "$line" in *\;*) ;; *) fail "Client port not found in $config." ;; esac
    port="${line##*;}"
    if [ "${port%:*}" != "$port" ]; then
      address="${port%:*}"
      port="${port##*:}"
    fi
  }
  address="${address#[}"
  address="${address%]}"
  case "$address" in "" | 0.0.0.0 | ::) address=localhost ;; esac
}

status() {
  local address port answer
  find_client_port
  echo "Client port found: $port. Client address: $address. Client SSL: false."
  answer="$(timeout 10 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf srvr >&3 && cat <&3' "$address" "$port" 2>/dev/null |
    grep '^Mode: ')"
  [ -n "$answer" ] || fail "Error contacting service. It is probably not running."
  echo "$answer"
}

if [ "${1:-}" = --config ]; then
  [ -n "${2:-}" ] || usage
  ZOOCFGDIR="$2"
  shift 2
fi
[ $# -ge 1 ] && [ $# -le 2 ] || usage

case "$1" in
  start) find_config "${2:-}" && start ;;
  start-foreground)
    find_config "${2:-}"
    make_command
    exec "${command[@]}"
    ;;
  stop) find_config "${2:-}" && stop ;;
  restart) find_config "${2:-}" && stop && start ;;
  status) find_config "${2:-}" && status ;;
  version) exec "$witan" version ;;
  print-cmd)
    find_config "${2:-}"
    make_command
    printf '%q ' "${command[@]}"
    echo
    ;;
  *) usage ;;
esac
