"""Reads JUnit XML reports and prints a line `PASS id`, `FAIL id` or `SKIP id` for each test, its last run counting."""

import sys
from xml.etree import ElementTree


def verdict(case):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "FAIL"
    return "SKIP" if "skipped" in kinds else "PASS"


def name(case):
    parts = (case.get("classname"), case.get("name"))
    return " ".join("::".join(part for part in parts if part).split())


verdicts = {name(case): verdict(case) for report in sys.argv[1:] for case in ElementTree.parse(report).iter("testcase")}
for test, result in verdicts.items():
    print(result, test)
