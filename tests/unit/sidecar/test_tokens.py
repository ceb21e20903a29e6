"""The form of tokens."""

import re

import pytest

from fairlead_sidecar import tokens

KEY = bytes(range(32))


def test_a_minted_token_has_the_published_form() -> None:
    assert re.fullmatch(r"flt_[a-z2-7]{12}_[0-9A-Za-z]{49}", tokens.mint())


def test_minted_tokens_parse_and_differ() -> None:
    minted = [tokens.mint() for _ in range(200)]
    assert len(set(minted)) == 200
    for text in minted:
        parsed = tokens.parse(text)
        assert parsed is not None
        assert text.startswith(f"flt_{parsed.id}_")
        assert not parsed.is_probe


def test_a_given_id_is_kept_with_a_new_secret() -> None:
    first, second = tokens.mint("abcdefghij27"), tokens.mint("abcdefghij27")
    assert first != second
    assert first.startswith("flt_abcdefghij27_")


@pytest.mark.parametrize("bad", ["", "short", "ABCDEFGHIJ27", "abcdefghij21", "abcdefghij27\n", "probe"])
def test_an_id_of_another_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="12 characters"):
        tokens.mint(bad)


def test_one_changed_character_breaks_the_checksum() -> None:
    text = tokens.mint()
    for position in range(4, len(text)):
        if text[position] == "_":
            continue
        changed = text[:position] + ("a" if text[position] != "a" else "b") + text[position + 1 :]
        assert tokens.parse(changed) is None


@pytest.mark.parametrize("text", ["", "flt_", "flt__", "Bearer x", "flt_abcdefghij27_", "ghp_" + "a" * 60])
def test_other_texts_are_no_tokens(text: str) -> None:
    assert tokens.parse(text) is None


def test_nothing_may_follow_or_precede_a_token() -> None:
    text = tokens.mint()
    for changed in (text + "\n", text + "0", " " + text):
        assert tokens.parse(changed) is None


def test_the_probe_token_is_stable_per_host_and_differs_between_hosts_and_keys() -> None:
    token = tokens.probe_token(KEY, "uid-1")
    assert token == tokens.probe_token(KEY, "uid-1")
    assert token != tokens.probe_token(KEY, "uid-2")
    assert token != tokens.probe_token(bytes(32), "uid-1")
    parsed = tokens.parse(token)
    assert parsed is not None
    assert parsed.is_probe


def test_a_parsed_token_does_not_show_its_secret() -> None:
    text = tokens.mint()
    assert text not in repr(tokens.parse(text))


def test_the_hash_is_the_sha_256_of_the_whole_string() -> None:
    assert tokens.sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
