"""Each rule of ./dev tidy rejects a sample it must reject, and lets the nearest good one pass."""

import pytest
import tidy
import tidy_rules as rules
from tidy_rules import Tree
from tidy_source import Source


def found(rule, files):
    return [str(problem) for problem in rule(Tree(files))]


def functions(text):
    return [(f.name, f.first, f.last) for f in Source("src/base/x.cc", text).functions]


# ---- reading C++


def test_comments_and_strings_are_blanked_and_lines_stay():
    text = 'int a; // rand()\n/* rand()\n */ auto b = "rand()"; auto c = R"x(rand() ")x";\nchar d = \'"\';\n'
    source = Source("x.cc", text)
    assert "rand" not in source.code
    assert source.code.count("\n") == 4
    assert "char d" in source.code


def test_a_digit_separator_is_no_character_literal():
    assert "rand" in Source("x.cc", "int a = 1'000; int b = rand(); int c = 2'000;").code


def test_an_include_in_a_comment_is_none():
    assert Source("x.cc", '// #include "a.h"\n#include "b/c.h"\n#  include <vector>\n').includes == [
        (2, '"', "b/c.h"),
        (3, "<", "vector"),
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("int f() {\n  return 1;\n}\n", [("f", 1, 3)]),
        ("namespace a::b {\n\nint f(int x,\n      int y) {\n  if (x) {\n  }\n}\n}  // namespace\n", [("f", 3, 7)]),
        ("class A : public B {\n public:\n  A(int x) : x_{x}, y_(2) {\n    go();\n  }\n  int x_;\n};\n", [("A", 3, 5)]),
        ("A::A(std::vector<int> v) : v_{std::move(v)} {}\nint g() { return 2; }\n", [("A::A", 1, 1), ("g", 2, 2)]),
        ("auto f() -> std::vector<int> {\n  return {};\n}\n", [("f", 1, 3)]),
        ("int A::f() const noexcept {\n}\n", [("A::f", 1, 2)]),
        ("struct P {\n  int x{};\n  std::map<int, int> m = {{1, 2}};\n};\nenum class E : uint8_t { A, B };\n", []),
        ("const Row kRows[] = {\n  {f(1)},\n  {f(2)},\n};\n", []),
        ("void f(Options options = {});\nint g() {\n}\n", [("g", 2, 3)]),
        ("TEST(Log, Truncates) {\n  int x;\n}\n", [("TEST(Log, Truncates)", 1, 3)]),
        ("#define BAD {\nint f() {\n}\n", [("f", 2, 3)]),
        ("bool operator==(const A& a, const A& b) {\n}\n", [("operator==", 1, 2)]),
        ("template <class T>\nstruct std::hash<T> {\n  int operator()(T t) const {\n  }\n};\n", [("operator", 3, 4)]),
        ('extern "C" int g(void) {\n}\nextern "C" {\nint h() {\n}\n}\n', [("g", 1, 2), ("h", 4, 5)]),
    ],
)
def test_functions_are_found_with_their_lines(text, expected):
    assert functions(text) == expected


# ---- rooms and libraries


@pytest.mark.parametrize(
    "path, header, allowed",
    [
        ("src/raft/raft.cc", "base/result.h", True),
        ("src/raft/raft.cc", "raft/log.h", True),
        ("src/raft/raft.cc", "env/loop.h", False),
        ("src/base/result.h", "raft/types.h", False),
        ("src/wal/wal.h", "raft/types.h", True),
        ("src/wal/wal.h", "raft/raft.h", False),
        ("src/api/etcd/kv.cc", "node/client.h", True),
        ("src/api/etcd/kv.cc", "node/node.h", False),
        ("src/api/etcd/kv.cc", "raft/types.h", False),
        ("src/api/etcd/kv.cc", "api/zookeeper/session.h", False),
        ("src/server/main.cc", "raft/raft.h", True),
        ("src/server/main.cc", "sim/world.h", False),
        ("src/sim/world.cc", "os/loop.h", False),
        ("src/raft/raft_test.cc", "wal/wal.h", True),
        ("src/raft/raft_test.cc", "server/options.h", False),
        ("fuzz/wal.cc", "wal/wal.h", True),
    ],
)
def test_the_table_of_rooms(path, header, allowed):
    assert (found(rules.check_rooms, {path: f'#include "{header}"\n'}) == []) == allowed


def test_an_include_must_name_its_room():
    assert "is in no room" in found(rules.check_rooms, {"src/raft/raft.cc": '#include "log.h"\n'})[0]


@pytest.mark.parametrize(
    "path, include, allowed",
    [
        ("src/raft/raft.cc", "<vector>", True),
        ("src/raft/raft.cc", "<absl/container/btree_map.h>", True),
        ("src/raft/raft.cc", "<boost/asio/ip/tcp.hpp>", False),
        ("src/os/net.cc", "<boost/asio/ip/tcp.hpp>", True),
        ("src/os/net.h", "<boost/asio/ip/tcp.hpp>", False),
        ("src/os/file.cc", "<sys/stat.h>", True),
        ("src/wal/file.cc", "<sys/stat.h>", False),
        ("src/wire/http2.cc", "<nghttp2/nghttp2.h>", True),
        ("src/api/etcd/kv.cc", "<nghttp2/nghttp2.h>", False),
        ("src/api/etcd/kv.cc", '"api/etcd/kv.pb.h"', True),
        ("src/api/etcd/kv.h", '"api/etcd/kv.pb.h"', False),
        ("src/raft/raft.cc", '"raft/log.pb.h"', False),
        ("src/raft/raft.cc", "<leveldb/db.h>", False),
        ("src/raft/raft_test.cc", "<gtest/gtest.h>", True),
        ("src/raft/raft.cc", "<gtest/gtest.h>", False),
    ],
)
def test_the_table_of_libraries(path, include, allowed):
    assert (found(rules.check_libraries, {path: f"#include {include}\n"}) == []) == allowed


# ---- determinism


@pytest.mark.parametrize(
    "line",
    [
        "auto t = std::chrono::steady_clock::now();",
        "std::random_device device;",
        "int x = rand();",
        "std::thread worker(f);",
        "std::this_thread::yield();",
        "std::shared_mutex mutex;",
        "usleep(10);",
        "sleep_for(10ms);",
        'auto* home = getenv("HOME");',
        "std::shuffle(a.begin(), a.end(), rng);",
        "std::uniform_int_distribution<int> d;",
        "co_return 1;",
        "assert(x);",
        "thread_local int depth = 0;",
        "absl::flat_hash_map<Peer*, int> m;",
        "std::set<const Node*> s;",
        "#include <thread>",
        "#include <random>",
        "#include <filesystem>",
    ],
)
def test_forbidden_words(line):
    assert found(rules.check_words, {"src/raft/raft.cc": line + "\n"})


@pytest.mark.parametrize(
    "line", ["operand(x);", "grand_total();", "world.sleep;", "static_assert(true);", "// std::thread", "int unthread;"]
)
def test_words_that_only_look_forbidden(line):
    assert found(rules.check_words, {"src/raft/raft.cc": line + "\n"}) == []


def test_os_may_do_what_it_is_for_and_tests_what_they_like():
    line = "std::thread worker(f);\n"
    assert found(rules.check_words, {"src/os/loop.cc": line}) == []
    assert found(rules.check_words, {"src/raft/raft_test.cc": line}) == []


@pytest.mark.parametrize(
    "text",
    [
        "int f() {\n  static int calls = 0;\n  return ++calls;\n}\n",
        "struct A {\n  static inline std::string name;\n};\n",
        "namespace {\nint counter = 0;\n}\n",
        "namespace a {\nstd::map<int, int> table{{1, 2}};\n}\n",
        "size_t high = size_t{1} << 10;\n",
        "Hook hook;\n",
    ],
)
def test_mutable_statics(text):
    assert found(rules.check_statics, {"src/raft/raft.cc": text})


@pytest.mark.parametrize(
    "text",
    [
        "static constexpr int kLimit = 3;\n",
        "struct A {\n  static A make(int x);\n  static A of(int x) { return A{x}; }\n  int field = 0;\n};\n",
        "constexpr std::array kRows = {1, 2};\n",
        "constexpr size_t kHigh = size_t{1} << 10;\nconstexpr Limits kLimits{.low = 1};\n",
        "const char* const kName = nullptr;\n",
        "using A = int;\nclass B;\nint f(int x);\n",
        "int f() {\n  static const std::string text = g();\n  int local = 0;\n  return local;\n}\n",
        "template <class T>\nstruct std::hash<A<T>> {\n  size_t operator()(A<T> a) const { return 1; }\n};\n",
        "A& A::operator=(const A&) = default;\n",
    ],
)
def test_what_is_no_mutable_static(text):
    assert found(rules.check_statics, {"src/raft/raft.cc": text}) == []


def test_a_loop_over_a_hash_container():
    header = "struct A {\n  absl::flat_hash_map<std::string, std::vector<int>> rows_;\n  std::map<int, int> sorted_;\n"
    body = "void A::f() {\n  for (const auto& [key, row] : rows_) g(row);\n  for (auto& row : sorted_) g(row);\n}\n"
    problems = found(rules.check_hash_order, {"src/store/a.h": header + "};\n", "src/store/a.cc": body})
    assert len(problems) == 1 and "src/store/a.cc:2" in problems[0]


# ---- sizes, lists, text


def test_a_function_over_the_limit():
    body = "int f() {\n" + "  g();\n" * 68 + "}\n"
    assert found(rules.check_sizes, {"src/raft/raft.cc": body}) == []
    assert "f has 71 lines" in found(rules.check_sizes, {"src/raft/raft.cc": body.replace("{\n", "{\n  g();\n")})[0]


def test_a_file_over_the_limit():
    assert found(rules.check_sizes, {"src/raft/raft.h": "//\n" * 400}) == []
    assert found(rules.check_sizes, {"src/raft/raft.h": "//\n" * 401})
    assert found(rules.check_sizes, {"src/raft/raft.cc": "//\n" * 1001})


def test_a_source_that_no_target_names():
    listing = "witan_room(NAME raft SOURCES raft.cc # log_test.cc\n  TESTS deep/x_test.cc)\n"
    files = {"src/raft/CMakeLists.txt": listing, "src/raft/raft.cc": "", "src/raft/deep/x_test.cc": ""}
    assert found(rules.check_listed, files) == []
    assert "log_test.cc" in found(rules.check_listed, files | {"src/raft/log_test.cc": ""})[0]
    assert found(rules.check_listed, files | {"src/raft/raft.h": ""})


def test_a_room_without_a_list():
    assert found(rules.check_listed, {"CMakeLists.txt": "a.cc", "src/raft/a.cc": ""})


@pytest.mark.parametrize(
    "path, text",
    [
        ("src/raft/a.cc", "int a; \n"),
        ("src/raft/a.cc", "\tint a;\n"),
        ("src/raft/a.cc", "// " + "x" * 118 + "\n"),
        ("src/raft/a.cc", "// TO" + "DO later\n"),
        ("src/raft/a.h", "int f();\n"),
        ("src/raft/MyFile.cc", "\n"),
        ("README.md", "no newline"),
    ],
)
def test_untidy_text(path, text):
    assert found(rules.check_text, {path: text})


def test_tidy_text():
    files = {"src/raft/a.h": "#pragma once\n\nint f();\n", "README.md": "long " * 50 + "line\n"}
    assert found(rules.check_text, files) == []


# ---- deliberate bugs

BANK = {
    "src/base/planted.h": "enum class Bug : uint8_t {\n  None,\n  Early,\n};\n#ifdef WITAN_PLANTED_BUGS\n#endif\n",
    "src/base/planted.cc": 'constexpr std::array kBugs = {\n    BugInfo{Bug::Early, "early", "Too early."},\n};\n',
    "src/raft/a.cc": "void f() {\n  if (planted(Bug::Early)) g();\n}\n",
}


def test_a_bug_is_described_once_and_stands_in_the_product():
    assert found(rules.check_planted, BANK) == []
    assert found(rules.check_planted, {"src/raft/a.cc": "int a;\n"}) == []


@pytest.mark.parametrize(
    "change, text",
    [
        ({"src/raft/a.cc": "// planted(Bug::Early)\n"}, "planted.h:3: Early: stands nowhere"),
        ({"src/raft/a.cc": "", "src/raft/a_test.cc": "if (planted(Bug::Early)) g();\n"}, "stands nowhere"),
        ({"src/raft/a.cc": "if (planted(Bug::Early)) g();\n" * 4}, "stands at 4 places"),
        ({"src/base/planted.cc": "constexpr std::array kBugs = {};\n"}, "described 0 times"),
        ({"src/base/planted.cc": BANK["src/base/planted.cc"] * 2}, "described 2 times"),
        ({"src/wal/b.cc": "void h() { plant(Bug::Early); }\n"}, "wal/b.cc:1: `plant(`"),
        ({"src/wal/b.cc": "#ifdef WITAN_PLANTED_BUGS\n#endif\n"}, "`WITAN_PLANTED_BUGS`"),
        ({"bench/b.cc": "void h() { plant(Bug::Early); }\n"}, "bench/b.cc:1"),
    ],
)
def test_a_bank_of_bugs_in_disorder(change, text):
    (problem,) = found(rules.check_planted, BANK | change)
    assert text in problem


def test_testers_may_plant_bugs():
    line = "void h() { plant(Bug::Early); }\n"
    assert found(rules.check_planted, BANK | {"src/sim/hunt.cc": line, "src/raft/a_test.cc": line}) == []


# ---- promises

PROMISES = {
    "src/wal/log_test.cc": "TEST(Log, Truncates) {\n}\nTEST_F(LogOnDisk,\n       IsSynced) {\n}\n",
    "tests/test_log.py": "def test_cut():\n    pass\n\n\ndef helper():\n    pass\n",
}


@pytest.mark.parametrize(
    "name",
    "Log.Truncates LogOnDisk.IsSynced Log.* Log* test_log.py test_log.py::test_cut test_cut test_c*".split(),
)
def test_a_promise_that_something_enforces(name):
    assert found(rules.check_promises, PROMISES | {"docs/guarantees/a.md": f"| durable | `{name}` |\n"}) == []


@pytest.mark.parametrize(
    "name",
    "Log.Cuts LogOnDisk.Truncates Logs.* Lag* test_wal.py test_log.py::test_bit test_bit test_b*".split(),
)
def test_a_promise_that_nothing_enforces(name):
    problems = found(rules.check_promises, PROMISES | {"docs/guarantees/a.md": f"\n| durable | `{name}` |\n"})
    assert problems == [f"docs/guarantees/a.md:2: no test is called {name} [promises]"]
    assert found(rules.check_promises, PROMISES | {"docs/core.md": f"`{name}`\n"}) == []


# ---- exceptions


def test_an_exception_excuses_what_it_names_and_nothing_else():
    tree = Tree({"README.md": "a \n", "STYLE.md": "b \n"})
    left = tidy.judge(tree, "text | README.md | space | it shows a trailing space\n")
    assert [problem.path for problem in left] == ["STYLE.md"]


def test_an_exception_that_excuses_nothing_is_a_problem():
    left = tidy.judge(Tree({"README.md": "a\n"}), "# why\n\ntext | README.md | space | it shows a trailing space\n")
    assert [(problem.rule, problem.line) for problem in left] == [("exceptions", 3)]


def test_an_exception_without_a_reason_is_a_problem():
    left = tidy.judge(Tree({"README.md": "a \n"}), "text | README.md | space |\n")
    assert sorted(problem.rule for problem in left) == ["exceptions", "text"]
