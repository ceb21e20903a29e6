from tests.integration.ssh.conftest import patient_calls, quick_keepalive, start_link, usual_calls
from tests.integration.sshd import sshd, sshd_factory

__all__ = ["patient_calls", "quick_keepalive", "sshd", "sshd_factory", "start_link", "usual_calls"]
