from tests.integration.sshd import sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]
