"""./dev tidy: the rules that a program can check in a second, over the whole tree.

What may break a rule stands in tidy_exceptions.txt with its reason; a line there that excuses nothing is itself a
problem, so the list can only shrink.
"""

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase

import house
import tidy_rules
from house import ROOT, Failed
from tidy_rules import Problem, Tree

EXCEPTIONS = "tools/tidy_exceptions.txt"
TEXT = (".cc", ".h", ".proto", ".py", ".sh", ".cmake", ".md", ".txt", ".json", ".toml", ".golden")


@dataclass(frozen=True)
class Exemption:
    """One line `rule | path | part of the message | reason`; the path may have wildcards, the part may be empty."""

    line: int
    rule: str
    path: str
    part: str

    def covers(self, problem):
        return problem.rule == self.rule and fnmatchcase(problem.path, self.path) and self.part in problem.text


def read_exceptions(text):
    """(exemptions, problems of the list itself)."""
    exemptions, wrong = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 4 or not fields[3]:
            wrong.append(Problem("exceptions", EXCEPTIONS, number, "write: rule | path | part of the message | reason"))
        else:
            exemptions.append(Exemption(number, *fields[:3]))
    return exemptions, wrong


def judge(tree, exceptions):
    """Every problem of `tree` that `exceptions` does not excuse, and every excuse that nothing needed."""
    exemptions, problems = read_exceptions(exceptions)
    used = set()
    for rule in tidy_rules.RULES:
        for problem in rule(tree):
            covering = [exemption for exemption in exemptions if exemption.covers(problem)]
            used.update(covering)
            if not covering:
                problems.append(problem)
    for exemption in exemptions:
        if exemption not in used:
            problems.append(Problem("exceptions", EXCEPTIONS, exemption.line, "excuses nothing any more; remove it"))
    return problems


def read_tree():
    names = house.sources(*TEXT)
    return Tree({name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in names})


def problems():
    """What is wrong with the project as it stands on disk, one line each."""
    exceptions = ROOT / EXCEPTIONS
    found = judge(read_tree(), exceptions.read_text() if exceptions.exists() else "")
    return [str(problem) for problem in sorted(found, key=lambda problem: (problem.path, problem.line))]


def require_clean():
    found = problems()
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    if found:
        raise Failed(f"tidy: {len(found)} problems; exceptions with a reason go to {EXCEPTIONS}")
