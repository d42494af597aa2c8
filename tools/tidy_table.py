"""The dependency table of ARCHITECTURE.md as data, and the words that only some rooms may use."""

from dataclasses import dataclass

ANYTHING = "*"


@dataclass(frozen=True)
class Room:
    rooms: tuple = ()  # whole rooms it may include, beside itself
    headers: tuple = ()  # single headers of other rooms
    libraries: tuple = ()  # beside fmt and Abseil, which are base's vocabulary and everyone's


BELOW_API = ("base", "env", "wire")
API_SEES = ("node/client.h", "store/command.h", "store/types.h")
RAFT_WORDS = ("raft/types.h", "raft/message.h")

# From the bottom to the top.
ROOMS = {
    "base": Room(libraries=("isal", "openssl")),
    "env": Room(("base",)),
    "raft": Room(("base",)),
    "verify": Room(("base",)),
    "store": Room(("base",), libraries=("protobuf", "zstd")),
    "wire": Room(("base",), libraries=("protobuf", "nghttp2", "beast", "json", "ldns")),
    "wal": Room(("base", "env"), RAFT_WORDS, ("zstd",)),
    "peer": Room(("base", "env", "wire"), RAFT_WORDS, ("protobuf",)),
    "node": Room(("base", "env", "raft", "store", "wal", "peer")),
    "api/etcd": Room(BELOW_API, API_SEES, ("protobuf", "json")),
    "api/zookeeper": Room(BELOW_API, (*API_SEES, "store/acl.h", "store/node.h", "store/path.h"), ("json",)),
    "api/consul": Room(BELOW_API, API_SEES, ("json",)),
    "migrate/zookeeper": Room(
        ("base", "env"),
        ("store/acl.h", "store/builder.h", "store/path.h", "store/store.h"),
        ("zlib", "snappy"),
    ),
    "os": Room(("base", "env"), libraries=("asio", "openssl", "spdlog", "prometheus", "posix")),
    "sim": Room((ANYTHING,), libraries=("protobuf",)),
    "server": Room((ANYTHING,), libraries=("cli11", "toml++")),
    "cli": Room((ANYTHING,), libraries=("cli11", "toml++")),
}
NEVER = {"sim": ("os", "server", "cli"), "server": ("sim",), "cli": ("sim",)}  # what ANYTHING leaves out

# How a header in <> is attributed to a library: the longest prefix wins.
LIBRARIES = {
    "fmt/": "fmt",
    "absl/": "absl",
    "isa-l": "isal",
    "zstd": "zstd",
    "zlib.h": "zlib",
    "snappy": "snappy",
    "google/protobuf/": "protobuf",
    "nghttp2/": "nghttp2",
    "boost/asio": "asio",
    "boost/system": "asio",
    "boost/beast": "beast",
    "boost/json": "json",
    "ldns/": "ldns",
    "openssl/": "openssl",
    "spdlog/": "spdlog",
    "prometheus/": "prometheus",
    "CLI/": "cli11",
    "toml++/": "toml++",
    "gtest/": "test",
    "gmock/": "test",
    "benchmark/": "test",
    "sys/": "posix",
    "netinet/": "posix",
    "arpa/": "posix",
    "linux/": "posix",
    "unistd.h": "posix",
    "dirent.h": "posix",
    "sched.h": "posix",
    "pwd.h": "posix",
    "fcntl.h": "posix",
    "netdb.h": "posix",
    "poll.h": "posix",
    "signal.h": "posix",
    "pthread.h": "posix",
    "malloc.h": "posix",
}
EVERYONES = ("fmt", "absl")

# Slow to compile or leaking macros: only in .cc files.
HEAVY = ("asio", "beast", "json", "protobuf", "nghttp2", "openssl", "spdlog")

# Standard headers that are the outside world, and the rooms that may include them.
WORLDLY_HEADERS = {
    **dict.fromkeys(("thread", "mutex", "shared_mutex", "condition_variable", "future"), ("os",)),
    **dict.fromkeys(("semaphore", "latch", "barrier", "stop_token"), ("os",)),
    **dict.fromkeys(("fstream", "filesystem", "iostream", "csignal", "ctime"), ("os", "server", "cli")),
    **dict.fromkeys(("random", "coroutine"), ()),
}

# (pattern, what to say, rooms that may use it)
FORBIDDEN_WORDS = (
    (r"\b\w*_clock::now\b", "a clock: time comes in as an argument", ("os",)),
    (r"\brandom_device\b|(?<![\w.>])s?rand(?:om)?\s*\(|\bmt19937\w*", "randomness: draw from base::Rng", ("os",)),
    (r"\bstd::shuffle\b|\bstd::\w+_distribution\b", "its result differs between compilers: use base::Rng", ()),
    (r"\bstd::(?:j?thread|this_thread|async|launch)\b", "a thread: only os starts them", ("os",)),
    (r"\bstd::(?:\w*mutex|condition_variable)\b|\babsl::Mutex\w*", "a lock: post a value instead", ("os",)),
    (r"\b(?:u|nano)?sleep(?:_for|_until)?\s*\(", "sleeping: wait for an event or a timer", ("os",)),
    (r"\b(?:secure_)?getenv\s*\(", "the environment: configuration comes in as a value", ("server", "cli")),
    (r"\bco_(?:await|return|yield)\b", "a coroutine: g++ 12.2 miscompiles common shapes of them", ()),
    (r"\benable_shared_from_this\b", "ownership by accident: address by id and generation", ()),
    (r"\bassert\s*\(", "assert: CHECK is always on", ()),
    (r"\bthread_local\b", "state that belongs to a thread, not to a node", ("os",)),
    (r"(?:map|set)\s*<\s*(?:const\s+)?[\w:]+\s*\*", "keyed by a pointer: the order is not the same twice", ("os",)),
)

# Deliberate bugs: where they are declared and described, who may plant them, and at how many places one may stand.
BUG_BANK = ("src/base/planted.h", "src/base/planted.cc")
BUG_SWITCH = "WITAN_PLANTED_BUGS"
BUG_TESTERS = ("sim", "verify")
BUG_PLACES = 3

FUNCTION_LINES = 70
FILE_LINES = {".cc": 1000, ".h": 400}
LINE_COLUMNS = 120
