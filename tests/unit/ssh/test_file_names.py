import pytest

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.ssh.file_names import meant, shown


@pytest.mark.parametrize(
    "name",
    [
        b"plain",
        "grün".encode(),
        b"\xff\xfe",
        b"a\xffb",
        b"\\x{ff}",
        b"\\x{5c}x{ff}",
        b"\\",
        b"\\x{zz}",
        b"a\nb\x1b",
        b"\xf0\x9f",
    ],
)
def test_any_name_can_be_shown_as_unicode_and_given_back(name: bytes) -> None:
    path = name.decode(errors="surrogateescape")
    text = shown(path)
    assert text.encode()
    assert meant(text) == path


def test_names_that_are_text_are_shown_as_they_are() -> None:
    assert shown("/home/grün \u202e\x1b[31m") == "/home/grün \u202e\x1b[31m"
    assert shown("a\udcffb") == "a\\x{ff}b"


def test_escapes_may_spell_characters_too() -> None:
    assert meant("gr\\x{c3}\\x{bc}n\\x{2f}x") == "grün/x"


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", "a\\x{00}b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        meant(text)
