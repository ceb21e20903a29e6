"""The keys of certificate authorities: generated ones in their Secrets, and those of users, which are only read."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead_api.auth import KeyAlgorithm
from fairlead_api.authority import SSHCertificateAuthoritySpec
from fairlead_api.conditions import AuthorityReason
from fairlead_operator.cluster.applier import Claimant
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SECRETS
from fairlead_operator.credentials.certificates import Signer, load_signer
from fairlead_operator.credentials.keys import NEXT_PRIVATE_KEY, PRIVATE_KEY, generate_key_pair
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.reconcile.authority import Problem, PublicKeys
from fairlead_operator.reconcile.authority_rotation import Requests, Step, next_step
from fairlead_operator.reconcile.labels import AUTHORITY_LABEL, authority_labels
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import authority_key_name
from fairlead_operator.reconcile.objects import Authority, Key

PASSPHRASE = "passphrase"  # noqa: S105 - the name of a key, no secret
NEXT_PASSPHRASE = "next-passphrase"  # noqa: S105 - the name of a key, no secret
_FORMER = "former-ssh-publickeys"
_ROTATE = "rotation-request"
_COMPLETE = "completion-request"
_FORMER_KEPT = 16
"""How many replaced keys stay refused; each has long signed nothing that is not over."""

_Data = Mapping[str, str]


class NoKeys(Exception):
    """An authority has no key that can sign."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True)
class AuthorityKeys:
    """The keys of one authority."""

    active: Signer
    following: Signer | None = None
    former: tuple[str, ...] = ()
    """Public keys that were generated and have been replaced."""
    problem: Problem | None = None
    """What is wrong with the next key of a user's Secret; the active one signs all the same."""
    met: Requests = field(default_factory=Requests, repr=False)

    def signer(self, fingerprint: str) -> Signer | None:
        """The key of this fingerprint, if it is one that signs."""
        return next((some for some in (self.active, self.following) if some and some.fingerprint == fingerprint), None)

    @property
    def public(self) -> PublicKeys:
        """The keys without their secrets."""
        pairs = [(some.fingerprint, some.public_key) for some in (self.active, self.following) if some is not None]
        return PublicKeys(*pairs)


@dataclass(frozen=True)
class _Record:
    source: tuple[str, str | None]
    """UID of the authority, and the user's Secret."""
    secret_uid: str
    version: int
    keys: AuthorityKeys


class AuthorityKeySecrets:
    """Knows the keys of all authorities, and reads a Secret again only when it changed."""

    def __init__(self, objects: Objects, metadata: SecretMetadata) -> None:
        self._objects = objects
        self._metadata = metadata
        self._records: dict[Key, _Record] = {}

    def gone(self, meta: Meta) -> None:
        """Forget what a Secret held that was deleted."""
        for key, record in list(self._records.items()):
            if key.namespace == meta.namespace and record.secret_uid == meta.uid:
                del self._records[key]

    def forget(self, key: Key) -> None:
        """Forget the keys of an authority that was deleted; its Secret stays."""
        self._records.pop(key, None)

    async def obtain(
        self,
        authority: Authority,
        spec: SSHCertificateAuthoritySpec,
        *,
        had_one: bool,
        accepted: str | None = None,
    ) -> AuthorityKeys:
        """The keys of an authority, which are generated or rotated as needed.

        Args:
            authority: The SSHCertificateAuthority.
            spec: Its spec.
            had_one: Whether a key was generated for it earlier.
            accepted: `SHA256:…` of the key whose certificates every host accepts; None: there is none, or nobody asked.

        Raises:
            NoKeys: There is none that can sign.
            NameTaken: Somebody else's Secret has the name of the one for a generated key.
            ApiError: The API server refused it, or did not tell.
        """
        name = spec.secret.name if spec.secret is not None else authority_key_name(authority.key.name)
        source = (authority.uid, spec.secret.name if spec.secret is not None else None)
        record, existing = self._records.get(authority.key), self._metadata.get(authority.key.namespace, name)
        fresh = existing is None or (record is not None and existing.version <= record.version)
        if record is not None and record.source == source and fresh:
            due = _step(authority, record.keys, accepted) if spec.secret is None else Step.KEEP
            if due is Step.KEEP:
                return record.keys
        secret = await self._objects.get(SECRETS, authority.key.namespace, name)
        if spec.secret is not None:
            if secret is None:
                raise NoKeys(
                    Problem(
                        AuthorityReason.SECRET_NOT_FOUND,
                        f"The Secret {name!r} does not exist in this namespace: create it with the key {PRIVATE_KEY}"
                        " (and passphrase where needed).",
                    )
                )
            keys = await asyncio.to_thread(_read_users, name, _decoded(secret))
        else:
            secret, keys = await self._generated(authority, spec, secret, had_one=had_one, accepted=accepted)
        meta = Meta.of(secret)
        self._records[authority.key] = _Record(source, meta.uid, meta.version, keys)
        return keys

    async def _generated(
        self,
        authority: Authority,
        spec: SSHCertificateAuthoritySpec,
        secret: dict[str, Any] | None,
        *,
        had_one: bool,
        accepted: str | None,
    ) -> tuple[dict[str, Any], AuthorityKeys]:
        algorithm = spec.generated.algorithm if spec.generated is not None else KeyAlgorithm.ED25519
        requests, comment = Requests.of(authority), f"fairlead:{authority.key}"
        if secret is None:
            # An object without a status is a new one, whatever an earlier one of this name left.
            if had_one and authority.status.get("authorities"):
                raise NoKeys(Problem(AuthorityReason.KEY_LOST, _lost(authority)))
            made = await _generate(algorithm, comment)
            content = {PRIVATE_KEY: made, **_request_data(requests)}
            return await self._objects.create(_manifest(authority, content)), _read_generated(authority, content)
        Claimant("SSHCertificateAuthority", authority.key.name, authority.uid, AUTHORITY_LABEL).check(
            SECRETS, Meta.of(secret)
        )
        content = _decoded(secret)
        keys = _read_generated(authority, content)
        match _step(authority, keys, accepted):
            case Step.KEEP:
                return secret, keys
            case Step.ADD_NEXT:
                content = {**content, NEXT_PRIVATE_KEY: await _generate(algorithm, comment)}
            case Step.PROMOTE:
                former = (*keys.former, keys.active.public_key)[-_FORMER_KEPT:]
                content = {PRIVATE_KEY: content[NEXT_PRIVATE_KEY], _FORMER: "".join(f"{line}\n" for line in former)}
        content = {**content, **_request_data(requests)}
        # By its version: of two writers one must lose, or a key would be lost that is trusted somewhere.
        patch = {
            "metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]},
            "data": dict.fromkeys(secret.get("data") or {}) | _encoded(content),
        }
        changed = await self._objects.merge(SECRETS, authority.key.namespace, secret["metadata"]["name"], patch)
        return changed, _read_generated(authority, content)


def _step(authority: Authority, keys: AuthorityKeys, accepted: str | None) -> Step:
    following = keys.following
    return next_step(
        rotating=following is not None,
        requests=Requests.of(authority),
        met=keys.met,
        accepted=following is not None and following.fingerprint == accepted,
    )


async def _generate(algorithm: KeyAlgorithm, comment: str) -> str:
    return (await asyncio.to_thread(generate_key_pair, algorithm, comment)).private


def _read_generated(authority: Authority, content: _Data) -> AuthorityKeys:
    name = authority_key_name(authority.key.name)
    following = content.get(NEXT_PRIVATE_KEY)
    return AuthorityKeys(
        active=_load(name, PRIVATE_KEY, content.get(PRIVATE_KEY, ""), None),
        following=_load(name, NEXT_PRIVATE_KEY, following, None) if following else None,
        former=tuple(content.get(_FORMER, "").splitlines()),
        met=Requests(content.get(_ROTATE, ""), content.get(_COMPLETE, "")),
    )


def _read_users(name: str, content: _Data) -> AuthorityKeys:
    if not content.get(PRIVATE_KEY):
        raise NoKeys(Problem(AuthorityReason.SECRET_NOT_FOUND, f"The Secret {name!r} has no {PRIVATE_KEY}: add it."))
    active = _load(name, PRIVATE_KEY, content[PRIVATE_KEY], content.get(PASSPHRASE))
    if not content.get(NEXT_PRIVATE_KEY):
        return AuthorityKeys(active)
    try:
        following = _load(name, NEXT_PRIVATE_KEY, content[NEXT_PRIVATE_KEY], content.get(NEXT_PASSPHRASE))
    except NoKeys as error:
        problem = Problem(error.problem.reason, f"{error.problem.message} Until then {PRIVATE_KEY} signs alone.")
        return AuthorityKeys(active, problem=problem)
    return AuthorityKeys(active, following if following.fingerprint != active.fingerprint else None)


def _load(secret: str, key: str, text: str, passphrase: str | None) -> Signer:
    try:
        return load_signer(text, passphrase.rstrip("\r\n") if passphrase is not None else None)
    except ValueError as error:
        where = NEXT_PASSPHRASE if key == NEXT_PRIVATE_KEY else PASSPHRASE
        message = f"{key} in the Secret {secret!r} {error}. Mend it; {where} holds the passphrase of an encrypted key."
        raise NoKeys(Problem(AuthorityReason.KEY_INVALID, message)) from None


def _lost(authority: Authority) -> str:
    return (
        f"The Secret {authority_key_name(authority.key.name)!r} with the generated key is gone. Restore it from a"
        " backup; or delete this object and create it anew, which makes another key that the hosts have to trust."
        " Certificates that were made already last until they are over."
    )


def _request_data(requests: Requests) -> dict[str, str]:
    data = {_ROTATE: requests.rotate, _COMPLETE: requests.complete}
    return {key: value for key, value in data.items() if value}


def _manifest(authority: Authority, content: _Data) -> dict[str, Any]:
    """The Secret of a generated key. It has no owner, so that the key outlasts an object deleted by mistake."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": authority_key_name(authority.key.name),
            "namespace": authority.key.namespace,
            "labels": authority_labels(authority.key.name, "ssh-certificate-authority"),
        },
        "type": "Opaque",
        "data": _encoded(content),
    }


def _encoded(content: _Data) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}


def _decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    """A Secret's content; what is no text becomes what no key is."""
    content = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            content[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            content[key] = "?"
    return content
