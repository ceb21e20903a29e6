from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fairlead_api import __main__ as command
from fairlead_api.generate.files import generated_files, stale, write

REPOSITORY = Path(__file__).parents[3]


def test_the_committed_files_are_current() -> None:
    assert stale(REPOSITORY) == "", "run `make generate` and commit what it writes"


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert set(write(tmp_path)) == set(generated_files())
    assert write(tmp_path) == []
    assert stale(tmp_path) == ""


def test_check_fails_with_a_diff_when_a_file_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_ROOT", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    write(tmp_path)
    crd = tmp_path / "crds/remotehosts.yaml"
    crd.write_text(crd.read_text().replace("maximum: 65535", "maximum: 99999"))

    result = CliRunner().invoke(command.main, ["--check"])

    assert result.exit_code == 1
    assert "-                  maximum: 99999" in result.output
    assert "+                  maximum: 65535" in result.output
    assert "make generate" in result.output


def test_outside_a_checkout_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_ROOT", tmp_path)

    result = CliRunner().invoke(command.main, [])

    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_charts_copy_is_the_same_crd_kept_on_uninstall() -> None:
    files = generated_files()
    crd = yaml.safe_load(files[Path("crds/remotehosts.yaml")])
    template = files[Path("charts/fairlead/templates/crds/remotehosts.yaml")]
    lines = [line for line in template.splitlines() if not line.startswith("{{-")]
    # As Helm renders what would otherwise begin an action.
    copy = yaml.safe_load("\n".join(lines).replace('{{ "{{" }}', "{{"))

    assert "{{- if .Values.crds.enabled }}" in template.splitlines()
    assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert copy == crd


def test_the_reference_names_every_field() -> None:
    page = generated_files()[Path("docs/reference/remotehost.md")]

    assert "| `port` | integer, 1 to 65535 | `22` |" in page
    assert "| `auth.secret.name` | string of at most 253 | required |" in page
    assert "| `policy.paths.write` | list of 1 to 64: string of at most 1024 |" in page
