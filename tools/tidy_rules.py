"""The rules of ./dev tidy. Each takes a Tree and yields Problems; test_tidy.py shows each a sample it must reject."""

import fnmatch
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import tidy_table as table
from tidy_source import Source


@dataclass(frozen=True)
class Problem:
    rule: str
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text} [{self.rule}]"


class Tree:
    """The project's text files: {path from the root: text}."""

    def __init__(self, files):
        self.files = files

    @cached_property
    def cpp(self):
        return [Source(path, text) for path, text in self.files.items() if path.endswith((".cc", ".h"))]

    @property
    def product(self):
        """C++ of rooms that is neither a test nor used by tests only."""
        return [source for source in self.cpp if room_of(source.path) and not is_test(source.path)]


def room_of(path):
    """The room a file under src/ belongs to, or None."""
    if not path.startswith("src/"):
        return None
    inside = path.removeprefix("src/")
    matching = [room for room in table.ROOMS if inside.startswith(room + "/")]
    return max(matching, key=len, default=None)


def is_test(path):
    """Tests and what stands beside them for their use only: x_test.cc, x_testing.h, src/<room>/testing/."""
    return bool(re.search(r"_test\.cc$|(_|/)testing\.(cc|h)$|/testing/", path))


def library_of(header):
    matching = [prefix for prefix in table.LIBRARIES if header.startswith(prefix)]
    if matching:
        return table.LIBRARIES[max(matching, key=len)]
    return "std" if "." not in header and "/" not in header else None


def check_rooms(tree):
    """Includes between rooms follow the table; a test may reach every room but the programs."""
    for source in tree.cpp:
        room = room_of(source.path)
        for line, quote, header in source.includes:
            if quote != '"':
                continue
            target = room_of("src/" + header)
            if target is None:
                text = f'"{header}" is in no room; write it from src/, as "raft/log.h"'
                yield Problem("include", source.path, line, text)
            elif room is None or target == room:
                continue
            elif not may_include(room, target, header, is_test(source.path)):
                yield Problem("rooms", source.path, line, f"{room} may not include {header}")


def may_include(room, target, header, test):
    allowed = table.ROOMS[room]
    if target in table.NEVER.get(room, ()):
        return False
    if test:
        return target not in ("server", "cli")
    return table.ANYTHING in allowed.rooms or target in allowed.rooms or header in allowed.headers


def check_libraries(tree):
    """Each room sees only the libraries of its row, and heavy headers stay in .cc files."""
    for source in tree.cpp:
        room = room_of(source.path)
        if room is None:
            continue
        allowed = {"std", *table.EVERYONES, *table.ROOMS[room].libraries}
        for line, quote, header in source.includes:
            library = "protobuf" if header.endswith(".pb.h") else library_of(header) if quote == "<" else None
            if library is None and quote == "<":
                yield Problem("libraries", source.path, line, f"<{header}> belongs to no library of the table")
            elif library not in allowed | {None} and not is_test(source.path):
                yield Problem("libraries", source.path, line, f"{room} may not see {library} (<{header}>)")
            elif library in table.HEAVY and source.path.endswith(".h"):
                yield Problem("heavy", source.path, line, f"{header} in a header; keep {library} in .cc files")


def check_words(tree):
    """Nothing outside os reaches for the world behind env's back."""
    for source in tree.product:
        room = room_of(source.path)
        for pattern, why, rooms in table.FORBIDDEN_WORDS:
            if room in rooms:
                continue
            for match in re.finditer(pattern, source.code):
                yield Problem("words", source.path, source.line_of(match.start()), f"`{match.group().strip()}`: {why}")
        for line, quote, header in source.includes:
            if quote == "<" and room not in table.WORLDLY_HEADERS.get(header, (room,)):
                yield Problem("words", source.path, line, f"<{header}> is not for {room}")


_STATIC = re.compile(r"\bstatic\b([^;{}=(]*)([;{=(])")
_NOT_A_VARIABLE = re.compile(
    r"^(using|typedef|class|struct|enum|union|friend|namespace|extern|static_assert|concept|template|public|private|"
    r"protected|#)\b|\b(const|constexpr|consteval|concept|operator|static)\b|\("
)


def check_statics(tree):
    """No mutable static or namespace-scope state: several nodes live in one process."""
    for source in tree.product:
        for match in _STATIC.finditer(source.code):
            if match[2] != "(" and not re.search(r"\bconst(expr)?\b", match[1]):
                line = source.line_of(match.start())
                yield Problem("statics", source.path, line, f"mutable static `{match[1].strip()}`")
        for line, declaration in source.variables:
            before_value = re.split(r"[={]", declaration)[0]
            if not _NOT_A_VARIABLE.search(before_value) and len(before_value.split()) > 1:
                yield Problem("statics", source.path, line, f"mutable `{before_value.strip()}` at namespace scope")


_HASHED = re.compile(r"\b(?:absl::(?:flat|node)_hash_(?:map|set)|std::unordered_\w+)\s*<")
_RANGE_FOR = re.compile(r"\bfor\s*\([^;()]*?[^:]:(?!:)\s*([\w.>\-]+)\s*\)")


def check_hash_order(tree):
    """No loop over a hash container: its order changes from run to run."""
    by_path = {source.path: source for source in tree.product}
    for source in tree.product:
        beside = by_path.get(re.sub(r"\.cc$", ".h", source.path))
        names = hashed_names(source.code) | (hashed_names(beside.code) if beside else set())
        for match in _RANGE_FOR.finditer(source.code):
            name = re.split(r"\.|->", match[1])[-1]
            if name in names:
                line = source.line_of(match.start())
                yield Problem("hash-order", source.path, line, f"a loop over the hash container {name}")


def hashed_names(code):
    """Names declared with a hash container's type: the identifier after its closing `>`."""
    names = set()
    for match in _HASHED.finditer(code):
        depth, position = 1, match.end()
        while depth and position < len(code):
            depth += {"<": 1, ">": -1}.get(code[position], 0)
            position += 1
        name = re.match(r"\s*[&*]?\s*(\w+)\s*[;={,)]", code[position:])
        if name:
            names.add(name[1])
    return names


def check_sizes(tree):
    """A function fits a screen, a file fits a head."""
    for source in tree.cpp:
        limit = table.FILE_LINES[PurePosixPath(source.path).suffix]
        lines = source.text.count("\n")
        if lines > limit:
            yield Problem("size", source.path, 1, f"{lines} lines; {limit} at most")
        for function in source.functions:
            if function.lines > table.FUNCTION_LINES:
                text = f"{function.name} has {function.lines} lines; {table.FUNCTION_LINES} at most"
                yield Problem("size", source.path, function.first, text)


def check_listed(tree):
    """Every source, header and proto is named by the CMakeLists.txt nearest to it."""
    for path in tree.files:
        if not path.endswith((".cc", ".h", ".proto")) or not path.startswith(("src/", "fuzz/", "bench/")):
            continue
        folder = next((f for f in PurePosixPath(path).parents if str(f / "CMakeLists.txt") in tree.files), None)
        if folder is None or str(folder) == ".":
            yield Problem("listed", path, 1, "no CMakeLists.txt stands in its folder or above")
            continue
        listing = re.sub(r"#[^\n]*", "", tree.files[str(folder / "CMakeLists.txt")])
        names = {str(PurePosixPath(path).relative_to(folder))}
        if path.endswith(".proto"):
            names.add(PurePosixPath(path).name)  # witan_proto's ROOT says where it stands
        if names.isdisjoint(re.split(r"[\s()\"]+", listing)):
            yield Problem("listed", path, 1, f"not named in {folder}/CMakeLists.txt")


_BUGS = re.compile(r"\benum class Bug\b[^{]*\{([^}]*)\}")
_PLANTED = re.compile(r"\bplanted\s*\(\s*Bug::(\w+)\s*\)")
_PLANTING = re.compile(r"\bplant\s*\(|\b" + table.BUG_SWITCH + r"\b")


def check_planted(tree):
    """Every deliberate bug is described once and stands in the product, at few places; only its testers plant it."""
    by_path = {source.path: source for source in tree.cpp}
    bank = [source for source in (by_path.get(path) for path in table.BUG_BANK) if source]
    outside = [source for source in tree.product if source.path not in table.BUG_BANK]
    places = [name for source in outside for name in _PLANTED.findall(source.code)]
    rows = "\n".join(source.code for source in bank)
    for source in bank:
        for enumeration in _BUGS.finditer(source.code):
            for bug in re.finditer(r"\w+", enumeration[1]):
                text = wrong_with_bug(bug.group(), places, rows)
                if text:
                    line = source.line_of(enumeration.start(1) + bug.start())
                    yield Problem("planted", source.path, line, f"{bug.group()}: {text}")
    for source in tree.cpp:
        if source.path in table.BUG_BANK or is_test(source.path) or room_of(source.path) in table.BUG_TESTERS:
            continue
        for match in _PLANTING.finditer(source.code):
            text = f"`{match.group()}`: the product asks planted() and knows no more of deliberate bugs"
            yield Problem("planted", source.path, source.line_of(match.start()), text)


def wrong_with_bug(bug, places, rows):
    if bug == "None":
        return None
    described = len(re.findall(rf"\bBugInfo\s*\{{\s*Bug::{bug}\b", rows))
    if described != 1:
        return f"described {described} times, not once"
    if bug not in places:
        return "stands nowhere in the product"
    if places.count(bug) > table.BUG_PLACES:
        return f"stands at {places.count(bug)} places; {table.BUG_PLACES} at most"
    return None


_TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")
_PYTHON_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)
# `Suite.Test`, `Suite.*` or `Suites*`; `test_file.py`, `test_file.py::test_name` or `test_name`, each of them with a *.
_NAMED_TEST = re.compile(r"`([A-Z]\w+(?:\.[A-Z*][\w*]*|\*))`|`(test_[\w.:*]+)`")


def check_promises(tree):
    """A test that a guarantee names as what enforces it is there."""
    there = set()
    for path, text in tree.files.items():
        if path.endswith(".cc"):
            there.update(f"{suite}.{name}" for suite, name in _TEST.findall(text))
        elif re.fullmatch(r"tests/test_\w+\.py", path):
            file = PurePosixPath(path).name
            tests = _PYTHON_TEST.findall(text)
            there.update([file, *tests, *(f"{file}::{test}" for test in tests)])
    for path, text in tree.files.items():
        if not path.startswith("docs/guarantees/"):
            continue
        for match in _NAMED_TEST.finditer(text):
            name = match[1] or match[2]
            if not (fnmatch.filter(there, name) if "*" in name else name in there):
                line = text.count("\n", 0, match.start()) + 1
                yield Problem("promises", path, line, f"no test is called {name}")


def check_text(tree):
    """Line ends, tabs, length, unfinished business, guards and names."""
    for path, text in tree.files.items():
        if path.startswith("fuzz/corpus/"):
            continue
        yield from check_lines(path, text)
        if path.endswith(".h") and "#pragma once" not in text:
            yield Problem("guard", path, 1, "no #pragma once")
        if path.endswith((".cc", ".h")) and not re.fullmatch(r"[a-z0-9_]+\.(cc|h)", PurePosixPath(path).name):
            yield Problem("names", path, 1, "file names are snake_case")
        if text and not text.endswith("\n"):
            yield Problem("text", path, text.count("\n") + 1, "no newline at the end")


_UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")  # spelt apart, for this file is checked too


def check_lines(path, text):
    prose = path.endswith((".md", ".txt", ".json", ".golden"))
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip() and not path.endswith(".golden"):
            yield Problem("text", path, number, "space at the end of the line")
        if "\t" in line:
            yield Problem("text", path, number, "a tab")
        if len(line) > table.LINE_COLUMNS and not prose:
            yield Problem("text", path, number, f"{len(line)} columns; {table.LINE_COLUMNS} at most")
        if _UNFINISHED.search(line):
            yield Problem("unfinished", path, number, "unfinished business belongs to an issue")


RULES = (
    check_rooms,
    check_libraries,
    check_words,
    check_statics,
    check_hash_order,
    check_sizes,
    check_listed,
    check_planted,
    check_promises,
    check_text,
)
