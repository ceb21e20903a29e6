from tests.integration.ssh.conftest import quick_keepalive, start_link
from tests.integration.sshd import sshd, sshd_factory

__all__ = ["quick_keepalive", "sshd", "sshd_factory", "start_link"]
