"""The page of licences agrees with the lock file, and an audit that checked nothing fails."""

import re

from tests.dependencies import PAGE, describe_audit, read_lock


def read_page() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| ([\w.-]+) \| ([\w.+-]+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: (version, licence) for name, version, licence in rows[1:]}  # below the column headings


def test_the_page_lists_every_locked_package_with_its_version() -> None:
    assert len(read_lock()) > 200
    assert {name: version for name, (version, _) in read_page().items()} == read_lock()


def test_every_licence_is_known_and_none_is_only_the_gpl() -> None:
    for name, (_, licence) in read_page().items():
        assert licence not in ("UNKNOWN", "License", ""), name
        assert not re.search(r"\bA?GPL", licence) or "Artistic" in licence or "LGPL" in licence, name


def test_an_audit_without_a_database_reports_that_nothing_was_checked() -> None:
    skipped = [{"name": name, "skip_reason": "Dependency not found on PyPI"} for name in "ab"]
    assert describe_audit({"dependencies": skipped}) == (
        "No advisory database is in reach: NONE of 2 packages was checked.",
        False,
    )
    sound = {"name": "c", "version": "1", "vulns": []}
    text, passed = describe_audit({"dependencies": [*skipped, sound]})
    assert text == "1 of 3 packages were checked: 0 known vulnerabilities.\nNot checked: a, b."
    assert not passed
    assert describe_audit({"dependencies": [sound]})[1]


def test_an_audit_names_each_vulnerability() -> None:
    found = {"name": "c", "version": "1", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
    text, passed = describe_audit({"dependencies": [found]})
    assert text == "1 of 1 packages were checked: 2 known vulnerabilities.\nc 1: CVE-1\nc 1: CVE-2"
    assert not passed
