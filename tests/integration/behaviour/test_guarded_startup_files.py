"""Programs that a person finds at a terminal are found by commands too."""

import pytest

from fairlead_sidecar.ssh import pool
from tests.integration.app.endpoint import running
from tests.integration.app.using import use
from tests.integration.sshd import PATIENCE_SECONDS, SshdFactory

BASHRC = """\
case $- in
    *i*) ;;
      *) return;;
esac
export NVM_DIR="$HOME/.nvm"
export PATH="$NVM_DIR/versions/node/v22.1.0/bin:$PATH"
"""
"""As Debian's skeleton and nvm's installer leave it: other shells than a person's stop at the guard."""
PROFILE = 'if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi\n'
"""As the same skeleton has it: what a login shell of bash reads instead of `.bashrc`."""


@pytest.mark.parametrize("files", [{".bashrc": BASHRC, ".profile": PROFILE}, {".bashrc": BASHRC}], ids=" and ".join)
async def test_node_from_nvm_behind_a_guarded_bashrc_is_found(
    sshd_factory: SshdFactory, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    # The first commands wait for the environment; here for as long as a slow machine needs for it.
    monkeypatch.setattr(pool, "FACTS_SECONDS", PATIENCE_SECONDS)
    sshd = sshd_factory(username="deploy", started=False)
    for name, content in files.items():
        (sshd.home / name).write_text(content)
    node = sshd.home / ".nvm/versions/node/v22.1.0/bin/node"
    node.parent.mkdir(parents=True)
    node.write_text("#!/bin/sh\necho v22.1.0 from $NVM_DIR\n")
    node.chmod(0o755)
    sshd.start()
    async with running(sshd.sidecar_config()) as endpoint:
        result = await use(endpoint, "execute_command", command="node --version")
    assert (result["exit_code"], result["stdout"]) == (0, "v22.1.0 from /home/deploy/.nvm\n")
