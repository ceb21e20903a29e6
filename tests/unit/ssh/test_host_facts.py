"""Which variables of an account may stand in what sshd is asked to execute, where a list of processes shows them."""

import pytest

from fairlead_sidecar.ssh.environment import HostFacts

USUAL = {"PATH": "/usr/bin", "LS_COLORS": "di=01", "LESSOPEN": "| /usr/bin/lesspipe %s", "JAVA_HOME": "/opt/java"}
"""What the .bashrc of Debian and of many a developer sets."""


def test_what_usual_start_up_files_set_may_show() -> None:
    assert HostFacts(set=USUAL).public


@pytest.mark.parametrize("name", ["API_TOKEN", "PGPASSWORD", "VAULT_HOME", "PATHS", "MY_PATH"])
def test_any_other_variable_keeps_all_of_them_hidden(name: str) -> None:
    assert not HostFacts(set={**USUAL, name: "x"}).public
