"""Reads C++ just well enough to measure and search it: no parser, only comments, strings, brackets and statements."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

_COMMENT_OR_STRING = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | R"(?P<fence>[^()\\\s]{0,16})\(.*?\)(?P=fence)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.)*(?:\\\n(?:[^\n\\]|\\.)*)*", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
_TYPE = re.compile(r"\b(class|struct|union|enum)\b")
_NAMESPACE = re.compile(r"(\bnamespace\b[\w:\s]*|\bextern\s*)$")
_ACCESS = re.compile(r"^(\s|(public|private|protected)\s*:(?!:))+")
_INITIALISERS = re.compile(r"\)\s*(noexcept\s*(\([^()]*\)\s*)?)?:(?!:)")


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


@dataclass(frozen=True)
class Function:
    name: str
    first: int  # line of its signature
    last: int  # line of its closing brace

    @property
    def lines(self):
        return self.last - self.first + 1


class Source:
    """One file. `text` is what stands in it; `code` is the same with comments and the insides of strings blanked."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self._line_starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def line_of(self, offset):
        return bisect_right(self._line_starts, offset)

    @cached_property
    def code(self):
        return _COMMENT_OR_STRING.sub(_blank, self.text)

    @cached_property
    def includes(self):
        """(line, quote character, path) of every include that is not commented out."""
        without_comments = _COMMENT_OR_STRING.sub(lambda m: _blank(m) if m["comment"] else m.group(), self.text)
        return [(self.line_of(m.start()), m[1], m[2]) for m in _INCLUDE.finditer(without_comments)]

    @cached_property
    def _scan(self):
        scan = _Scan(_DIRECTIVE.sub(_blank, self.code))
        scan.run()
        return scan

    @property
    def functions(self):
        """Every function at namespace or class scope; a lambda or local class counts to the function around it."""
        return [Function(name, self.line_of(first), self.line_of(last)) for name, first, last in self._scan.functions]

    @property
    def variables(self):
        """(line, declaration) of what looks like a variable at namespace scope."""
        return [(self.line_of(offset), " ".join(head.split())) for offset, head in self._scan.variables]


class _Scan:
    """One walk over the brackets of a file, statement by statement, at namespace and class scope only."""

    def __init__(self, code):
        self.code = code
        self.functions = []
        self.variables = []
        self._partner = self._match_brackets()
        self._scopes = ["namespace"]

    def _match_brackets(self):
        partner, open_ones = {}, []
        for match in re.finditer(r"[(){}]", self.code):
            if match.group() in "({":
                open_ones.append(match.start())
            elif open_ones:
                partner[open_ones.pop()] = match.start()
        return partner

    def run(self):
        position = statement = 0
        while match := re.compile(r"[({};]").search(self.code, position):
            position = match.end()
            if match.group() == "(":
                position = self._after(match.start())
            elif match.group() == "{":
                position, statement = self._open(statement, match.start())
            else:
                self._end_statement(statement, match)
                statement = position

    def _after(self, opening):
        return self._partner.get(opening, len(self.code)) + 1

    def _end_statement(self, statement, match):
        if match.group() == "}":
            if len(self._scopes) > 1:
                self._scopes.pop()
        elif self._scopes[-1] == "namespace":
            self._note_variable(statement, self.code[statement : match.start()])

    def _open(self, statement, brace):
        """A `{` that ends `code[statement:brace]`; returns where to go on, and where the current statement began."""
        head = self.code[statement:brace]
        kind = _kind(head)
        if kind in ("namespace", "type"):
            self._scopes.append(kind)
            return brace + 1, brace + 1
        after = self._after(brace)
        if kind == "value":  # the statement goes on behind the braces
            return after, statement
        lead = _ACCESS.match(head)
        self.functions.append((_name(head), statement + (lead.end() if lead else 0), after - 1))
        return after, after

    def _note_variable(self, statement, head):
        lead = len(head) - len(head.lstrip())
        if head.strip():
            self.variables.append((statement + lead, head))


def _kind(head):
    """What the `{` after `head` opens: namespace, type, function or value (of a variable, or of a member in a
    constructor)."""
    plain = re.sub(r"\[\[.*?\]\]|\balignas\s*\([^()]*\)", "", head, flags=re.DOTALL)
    if _NAMESPACE.search(plain):
        return "namespace"
    if _TYPE.search(plain) and "(" not in plain and "=" not in plain:
        return "type"
    if "(" not in plain:
        return "value"
    before_parameters = plain.split("(")[0]
    if re.search(r"(?<![=!<>])=(?!=)", before_parameters) and "operator" not in before_parameters and "[" not in plain:
        return "value"
    if _INITIALISERS.search(plain) and re.search(r"[\w>]\s*$", plain):
        return "value"
    return "function"


def _name(head):
    before = _ACCESS.sub("", head).split("(")[0].split()
    if before and re.fullmatch(r"[A-Z][A-Z_]+", before[-1]):  # a macro such as TEST(Suite, Case)
        return " ".join(_ACCESS.sub("", head).split())
    return before[-1].lstrip("*&") if before else "?"
