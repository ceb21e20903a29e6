"""The certificates of hosts in their Secrets, each with a key of its own, renewed in time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fairlead_api.auth import CertificateAuth, KeyAlgorithm
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.cluster.applier import NameTaken, StillDeleting
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.host_secrets import Data, HostSecrets, Shape
from fairlead_operator.controllers.issued import IssuedCertificates
from fairlead_operator.controllers.issuing import Authorities, AuthorityUnavailable, Signers
from fairlead_operator.controllers.newest_pods import NewestPods
from fairlead_operator.credentials.certificates import CertificateRequest
from fairlead_operator.credentials.held import CERTIFICATE, ISSUED, NEXT_CERTIFICATE, HeldCredentials, read_held
from fairlead_operator.credentials.keys import NEXT_PRIVATE_KEY, PRIVATE_KEY, generate_key_pair
from fairlead_operator.credentials.owned import SecretMetadata
from fairlead_operator.reconcile.certificate_plan import Plan, Terms, Wanted, next_renewal, plan
from fairlead_operator.reconcile.host_credentials import CertificateState, HostCredentials, principals
from fairlead_operator.reconcile.issued import HostCertificates, IssuedCertificate, in_force, write_issued
from fairlead_operator.reconcile.key_rotation import REQUEST, requested
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.names import certificate_name
from fairlead_operator.reconcile.objects import Host, Key

RETRY = 30.0
"""Seconds after which an authority that could not sign is asked again, should no event tell of its recovery."""
_NO_POD = "-"
"""In the key id of a host without a pod of its own, which others are reached through."""


@dataclass(frozen=True)
class Use:
    """What a host's certificates are needed for."""

    login: bool
    """Somebody logs in with them: the host's own pod, or those of hosts behind it."""
    passage: bool
    """Connections go through the host."""


class HostCertificateSecrets:
    """Obtains certificates and keeps them current."""

    def __init__(
        self,
        objects: Objects,
        metadata: SecretMetadata,
        *,
        pods: NewestPods,
        authorities: Authorities,
        register: IssuedCertificates,
    ) -> None:
        self._secrets: HostSecrets[HeldCredentials] = HostSecrets(objects, metadata)
        self._metadata = metadata
        self._pods = pods
        self._authorities = authorities
        self._register = register

    def gone(self, meta: Meta) -> None:
        """Forget a Secret that was deleted."""
        self._secrets.gone(meta)

    def forget(self, host: Key) -> None:
        """The host is gone: whatever was issued to it is no longer good."""
        self._pods.forget(host)
        self._register.remove(host)

    async def obtain(
        self, host: Host, spec: RemoteHostSpec, auth: CertificateAuth, use: Use, accepted: str | None
    ) -> HostCredentials:
        """The host's certificate, issued or renewed where that is due.

        Args:
            host: The RemoteHost.
            spec: Its spec.
            auth: Who signs, and what for.
            use: What it is needed for.
            accepted: `SHA256:…` of the key that the host let in last; None: unknown.

        Raises:
            NameTaken: Somebody else's Secret has the name.
            StillDeleting: The Secret of an earlier host of this name is not gone yet.
            ApiError: The API server refused it.
        """
        if not use.login:
            await self._withdraw(host, auth.authority_ref.name)
            return HostCredentials(certificate=CertificateState())
        authority = Key(host.key.namespace, auth.authority_ref.name)
        attempt = _Attempt(host, spec, auth, use, await self._pods.uid(host.key))
        try:
            attempt.signers = await self._authorities.signers(authority)
        except AuthorityUnavailable as error:
            attempt.problem = error

        async def change(content: Data) -> Data:
            try:
                return await self._carry_out(attempt, authority, content)
            except AuthorityUnavailable as error:
                attempt.problem = error
                return content

        held = await self._secrets.bring(
            host, _shape(host), read=read_held, settled=lambda held: attempt.plan(held).idle, change=change
        )
        self._note(host, authority.name, held, accepted)
        present, problem = held.present, attempt.problem
        due = next_renewal(present)
        return HostCredentials(
            certificate=CertificateState(
                serial=present.current.serial if present.current else None,
                next_serial=present.following.serial if present.following else None,
                expires=present.current.expires if present.current and present.current.expires > attempt.now else None,
                problem=(problem.reason, problem.message) if problem is not None else None,
            ),
            again=RETRY if problem is not None else max((due - attempt.now).total_seconds(), 0.1) if due else None,
        )

    async def leave(self, host: Host) -> None:
        """The host has other credentials than certificates: none may be left.

        Raises:
            ApiError: The API server refused it.
        """
        try:
            await self._withdraw(host, "")
        except (NameTaken, StillDeleting):
            # Nothing of this host's is in it.
            self._register.put(host.key, HostCertificates(host.uid, ""))

    async def _withdraw(self, host: Host, authority: str) -> None:
        """Empty the Secret. That its certificates are no longer among the issued ones revokes them."""
        if self._metadata.get(host.key.namespace, certificate_name(host.key.name)) is not None:

            async def nothing(content: Data) -> Data:
                return {REQUEST: content[REQUEST]} if REQUEST in content else {}

            await self._secrets.bring(
                host, _shape(host), read=read_held, settled=lambda held: held.empty, change=nothing
            )
        self._register.put(host.key, HostCertificates(host.uid, authority))

    def _note(self, host: Host, authority: str, held: HeldCredentials, accepted: str | None) -> None:
        before = self._register.get(host.key)
        # A new certificate's key has logged in nowhere yet, but its authority was accepted before.
        by = before.accepted if before is not None and before.uid == host.uid else None
        for some in (held.present.current, held.present.following):
            if some is not None and some.key_fingerprint == accepted:
                by = some.authority
        self._register.put(host.key, HostCertificates(host.uid, authority, held.issued, by))

    async def _carry_out(self, attempt: "_Attempt", authority: Key, content: Data) -> Data:
        """The Secret's content after what is due was done."""
        held = read_held(content)
        wanted, due = attempt.wanted(held), attempt.plan(held)
        if wanted is None or due.idle:
            return content
        current = _part(content, PRIVATE_KEY, CERTIFICATE)
        following = _part(content, NEXT_PRIVATE_KEY, NEXT_CERTIFICATE)
        issued = () if due.revoke else in_force(held.issued, attempt.now)
        if due.promote:
            current, following = _renamed(following), {}
        if due.drop_following:
            following = {}
        if due.renew:
            current, new = await self._new(attempt, authority, wanted.active, wanted.terms)
            issued += (new,)
        if due.renew_following and wanted.following is not None:
            made, new = await self._new(attempt, authority, wanted.following, wanted.terms)
            following = {NEXT_PRIVATE_KEY: made[PRIVATE_KEY], NEXT_CERTIFICATE: made[CERTIFICATE]}
            issued += (new,)
        # A request that was there before the first certificate is met by it.
        request = wanted.request or held.present.request
        return {**current, **following, ISSUED: write_issued(issued), **({REQUEST: request} if request else {})}

    async def _new(
        self, attempt: "_Attempt", authority: Key, signer: str, terms: Terms
    ) -> tuple[Data, IssuedCertificate]:
        pair = generate_key_pair(KeyAlgorithm.ED25519, f"fairlead:{attempt.host.key}")
        request = CertificateRequest(
            public_key=pair.public,
            key_id=terms.key_id,
            principals=tuple(sorted(terms.principals)),
            validity=terms.validity,
            source_addresses=tuple(sorted(terms.source_addresses)),
            port_forwarding=terms.port_forwarding,
        )
        issued = await self._authorities.issue(authority, signer, attempt.host, request)
        return (
            {PRIVATE_KEY: pair.private, CERTIFICATE: issued.certificate},
            IssuedCertificate(issued.serial, issued.expires, issued.authority),
        )


class _Attempt:
    """One look at a host: what its certificates should be."""

    def __init__(self, host: Host, spec: RemoteHostSpec, auth: CertificateAuth, use: Use, pod: str | None) -> None:
        self.host = host
        self.now = datetime.now(UTC)
        self.signers: Signers | None = None
        self.problem: AuthorityUnavailable | None = None
        self._spec = spec
        self._auth = auth
        self._use = use
        self._pod = pod

    def plan(self, held: HeldCredentials) -> Plan:
        """What is due."""
        wanted = self.wanted(held)
        return plan(held.present, wanted, self.now) if wanted is not None else Plan()

    def wanted(self, held: HeldCredentials) -> Wanted | None:
        """What there should be; None: nothing can be issued at the moment."""
        key_id = self._key_id(held)
        if self.signers is None or key_id is None:
            return None
        terms = Terms(
            key_id=key_id,
            principals=frozenset(principals(self._spec, self._auth)),
            # Certificates know whole seconds only.
            validity=timedelta(seconds=int(self._auth.validity.total_seconds())),
            source_addresses=frozenset(self._auth.source_addresses or ()),
            port_forwarding=self._use.passage,
        )
        return Wanted(terms, self.signers.active, self.signers.next, requested(self.host), self.signers.revoked)

    def _key_id(self, held: HeldCredentials) -> str | None:
        """Namespace, host and pod; while there is no pod, what the present certificate says."""
        prefix = f"{self.host.key}/"
        current = held.present.current
        if self._pod is not None:
            return prefix + self._pod
        if current is not None and current.terms.key_id.startswith(prefix):
            return current.terms.key_id
        return prefix + _NO_POD if self._spec.suspended else None


def _shape(host: Host) -> Shape:
    return Shape(certificate_name(host.key.name), "ssh-certificate")


def _part(content: Data, *keys: str) -> Data:
    return {key: content[key] for key in keys if key in content}


def _renamed(following: Data) -> Data:
    return {PRIVATE_KEY: following[NEXT_PRIVATE_KEY], CERTIFICATE: following[NEXT_CERTIFICATE]}
