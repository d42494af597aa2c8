"""What ./dev test counts: cases, not binaries, and a crash never as nothing."""

import suites
from suites import Tally

CASES = """<testsuites><testsuite name="Log">
  <testcase name="Appends" status="run" result="completed" classname="Log" />
  <testcase name="Truncates" status="run" result="completed" classname="Log"><failure message="1 != 2" /></testcase>
  <testcase name="Waits" status="run" result="skipped" classname="Log"><skipped /></testcase>
  <testcase name="DISABLED_Later" status="notrun" result="suppressed" classname="Log" />
</testsuite></testsuites>"""


def outcome_of(tmp_path, status, cases):
    outcome = tmp_path / "ctest.junit"
    outcome.write_text(f'<testsuite><testcase name="api/etcd/1" status="{status}" /></testsuite>')
    if cases:
        (tmp_path / "api_etcd-1.xml").write_text(cases)
    tally = Tally()
    suites.count_binaries("release", outcome, tmp_path, tally)
    return tally


def test_every_case_of_a_binary_is_counted(tmp_path):
    tally = outcome_of(tmp_path, "fail", CASES)
    assert tally.summary() == "1 passed, 1 failed, 2 skipped"
    assert tally.failures == ["release Log.Truncates"]


def test_a_binary_that_crashed_is_a_failure(tmp_path):
    assert outcome_of(tmp_path, "fail", None).summary() == "0 passed, 1 failed, 0 skipped"


def test_a_binary_that_failed_after_its_last_case_is_a_failure(tmp_path):
    passing = '<testsuites><testsuite><testcase name="A" classname="B" status="run" /></testsuite></testsuites>'
    tally = outcome_of(tmp_path, "fail", passing)
    assert tally.summary() == "1 passed, 1 failed, 0 skipped"


def test_a_binary_that_passed_without_cases_is_no_failure(tmp_path):
    assert outcome_of(tmp_path, "run", "<testsuites></testsuites>").summary() == "0 passed, 0 failed, 0 skipped"
