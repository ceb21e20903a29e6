import os
import stat
from pathlib import Path

import pytest

from fairlead_client.serve.token import TokenError, obtain
from fairlead_sidecar import tokens


def test_without_file_and_variable_a_new_token_is_minted() -> None:
    first, second = obtain(None, {}), obtain(None, {})
    assert first.parsed.text != second.parsed.text
    assert first.bearer.in_shell == first.parsed.text


def test_token_file_is_made_once_and_reused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    first, second = obtain(file, {}), obtain(file, {})
    assert first.parsed == second.parsed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.parsed.text not in first.bearer.in_shell + first.bearer.in_json + repr(first)


def test_token_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert obtain(file, {"FAIRLEAD_TOKEN": tokens.mint()}).parsed.text == file.read_text().strip()


def test_token_of_the_environment_is_used() -> None:
    text = tokens.mint()
    assert obtain(None, {"FAIRLEAD_TOKEN": text}).parsed.text == text


def test_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    obtain(file, {})
    file.chmod(0o640)
    with pytest.raises(TokenError, match="open to other users: chmod 600"):
        obtain(file, {})


def test_token_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    obtain(file, {})
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(TokenError, match="belongs to somebody else"):
        obtain(file, {})


@pytest.mark.parametrize("content", [b"", b"hunter2", b"\xff\xfe", tokens.probe_token(b"k" * 32, "x").encode()])
def test_file_without_a_token_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(TokenError, match="holds no Fairlead token") as refusal:
        obtain(file, {})
    assert "hunter2" not in str(refusal.value)


def test_mistyped_variable_is_refused() -> None:
    with pytest.raises(TokenError, match="FAIRLEAD_TOKEN holds no Fairlead token"):
        obtain(None, {"FAIRLEAD_TOKEN": tokens.mint()[:-1]})


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="missing/token: No such file or directory"):
        obtain(tmp_path / "missing" / "token", {})
