import time
import tracemalloc

import pytest
from pydantic import ValidationError

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.files.matching import compiled, cut, glob_matches, is_binary, matching_lines
from fairlead_sidecar.tools.files.find import FindArguments
from fairlead_sidecar.tools.files.search import SearchArguments


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/er/a.py", True),
        ("*.py", "a.pyc", False),
        ("a?c", "abc", True),
        ("[ab]*", "b.txt", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/sub/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("src/**", "src/x/y", True),
        ("src/**", "src", False),
        ("**/test/*", "a/b/test/c", True),
        ("**/test/*", "test/c", True),
        ("/a/b", "a/b", True),
        ("**/x/**/y", "x/y", True),
        ("A*", "abc", False),
    ],
)
def test_globs_look_at_names_or_with_a_slash_at_paths(glob: str, path: str, matches: bool) -> None:
    assert glob_matches(glob, path) == matches


def test_globs_with_many_stars_take_no_time() -> None:
    started = time.monotonic()
    assert not glob_matches("/".join(["**", "*a*"] * 20), "/".join(["aaaaaaaaaa"] * 100) + "/b")
    assert time.monotonic() - started < 1


def lines(data: bytes, pattern: str, *, context: int = 0, most: int = 99, ignore_case: bool = False) -> list[str]:
    found = matching_lines(data, compiled(pattern, literal=False, ignore_case=ignore_case), context=context, most=most)
    return [f"{line.number}{':' if line.match else '-'}{line.text.decode()}" for line in found]


def test_lines_are_numbered_and_lose_their_ends() -> None:
    assert lines(b"one\r\ntwo\nthree", "t") == ["2:two", "3:three"]
    assert lines(b"one\r\ntwo\n", "e$") == ["1:one"]
    assert lines(b"one\ntwo\n", "^$") == []
    assert lines(b"one\n\ntwo\n", "^$") == ["2:"]


def test_context_is_given_once_even_where_matches_are_close() -> None:
    data = b"".join(b"%d\n" % n for n in range(1, 10))
    assert lines(data, "[34]|8", context=1) == ["2-2", "3:3", "4:4", "5-5", "7-7", "8:8", "9-9"]
    assert lines(data, "1|9", context=2) == ["1:1", "2-2", "3-3", "7-7", "8-8", "9:9"]


def test_so_many_matches_are_given_as_asked_for() -> None:
    assert lines(b"x\n" * 10, "x", most=3) == ["1:x", "2:x", "3:x"]


def test_case_is_ignored_only_when_asked() -> None:
    assert lines(b"Needle\n", "needle") == []
    assert lines(b"Needle\n", "needle", ignore_case=True) == ["1:Needle"]


def test_a_literal_pattern_has_no_special_characters() -> None:
    found = matching_lines(b"axb\na.b\n", compiled("a.b", literal=True, ignore_case=False), context=0, most=9)
    assert [line.number for line in found] == [2]


@pytest.mark.parametrize("pattern", ["(", "a{2000}", r"\1", "(?<=x)y"])
def test_what_is_no_re2_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="not a regular expression of RE2"):
        compiled(pattern, literal=False, ignore_case=False)


def test_a_pattern_that_is_no_re2_is_quoted_as_it_was_given() -> None:
    with pytest.raises(InvalidRequest, match=r"missing \): \(a\.$"):
        compiled("(a", literal=False, ignore_case=False)


def test_a_nul_makes_a_file_binary() -> None:
    assert is_binary(b"a\0b")
    assert not is_binary("grün".encode("latin1"))


def test_a_long_line_is_cut_and_says_so() -> None:
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 15, 10) == "x" * 10 + "… [5 more characters]"


def test_the_lines_of_a_large_file_are_not_all_in_memory() -> None:
    data = b"ab\n" * 1_000_000
    tracemalloc.start()
    try:
        found = matching_lines(data, compiled("zz|^ab$", literal=False, ignore_case=False), context=1, most=2)
        assert matching_lines(data, compiled("b\\na", literal=False, ignore_case=False), context=1, most=2) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(line.number, line.match) for line in found] == [(1, True), (2, True), (3, False)]
    assert peak < 2 * len(data)


@pytest.mark.parametrize("arguments", [FindArguments, SearchArguments])
def test_a_glob_that_takes_long_to_read_is_refused(arguments: type[FindArguments | SearchArguments]) -> None:
    given = {"path": "/", "pattern": "x"} if arguments is SearchArguments else {"path": "/"}
    with pytest.raises(ValidationError, match="at most 1024 characters"):
        arguments.model_validate(given | {"glob": "[" * 1025})
