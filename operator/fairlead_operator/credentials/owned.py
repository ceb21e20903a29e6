"""What those have in common who make the content of Secrets and keep it: tokens and keys."""

from typing import Any, Protocol

from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.reconcile.metadata import Meta


class SecretMetadata(Protocol):
    """The part of the metadata cache that is needed here."""

    def get(self, namespace: str, name: str) -> Meta | None:
        """One Secret's metadata."""


class NotWritten(Exception):
    """A Secret could not be written. `value` is what it stands for as it is; None where it holds nothing usable."""

    def __init__(self, value: Any, cause: ApiError) -> None:
        super().__init__(str(cause))
        self.value = value
        self.cause = cause
