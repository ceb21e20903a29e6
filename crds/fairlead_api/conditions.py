"""Condition types and reasons: the words in which status says what holds, and why."""

from enum import StrEnum
from typing import Self

_INVALID_SPEC = (
    "The operator can't read the object; the message names the field. Usually the CRDs are newer than the operator:"
    " upgrade the operator."
)


class Documented(StrEnum):
    """A string enum whose members carry a sentence of documentation in `doc`."""

    doc: str

    def __new__(cls, value: str, doc: str) -> Self:
        """Make the member `value`, documented by `doc`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


class HostCondition(Documented):
    """The condition types of a RemoteHost."""

    CREDENTIALS_READY = "CredentialsReady", "The SSH credentials exist and can be read."
    HOST_KEY_TRUSTED = "HostKeyTrusted", "The key that the host presented is one that the spec trusts."
    CONNECTED = "Connected", "An SSH login succeeded and its connection is up."
    EXPOSED = (
        "Exposed",
        "The public URL reaches this host's endpoint. It never gates Ready: it may be reachable from outside only.",
    )
    READY = "Ready", "A real SSH login and a real MCP handshake through the Service succeeded: agents can work."


class TokenCondition(Documented):
    """The condition types of an McpToken."""

    READY = "Ready", "The Secret holds the token, and every host that it is for accepts it."


class AuthorityCondition(Documented):
    """The condition types of an SSHCertificateAuthority."""

    READY = "Ready", "The authority has a key, and hosts get certificates that it signs."


class McpServerCondition(Documented):
    """The condition types of an MCP server in status.mcpServers of a RemoteHost."""

    READY = "Ready", "The MCP handshake with the server succeeded: agents can use it."


class HostReason(Documented):
    """The reasons in a RemoteHost's conditions."""

    READY = "Ready", "Everything works."
    SUSPENDED = "Suspended", "spec.suspended is true: there is no pod and no connection."
    INVALID_SPEC = (
        "InvalidSpec",
        _INVALID_SPEC,
    )
    NAME_CONFLICT = (
        "NameConflict",
        "An object of a name that Fairlead needs belongs to somebody else: rename or delete one of the two.",
    )
    APPLY_FAILED = (
        "ApplyFailed",
        "The API server refused an object of this host; the message holds its answer (quota, policy, permission).",
    )
    POD_NOT_READY = (
        "PodNotReady",
        "The pod that holds the connection isn't running yet; the message says what it waits for.",
    )
    CONFIGURATION_PENDING = "ConfigurationPending", "The pod hasn't loaded the newest configuration yet."
    HANDSHAKE_FAILED = "HandshakeFailed", "The MCP handshake through the Service failed; the message says how."

    CREDENTIALS_FOUND = "CredentialsFound", "The Secret exists and holds usable keys."
    KEY_GENERATED = "KeyGenerated", "A key pair was generated; put status.publicKey into the account's authorized_keys."
    KEY_ROTATING = (
        "KeyRotating",
        "A new key pair was made: add status.nextPublicKey to the account's authorized_keys. Both work meanwhile.",
    )
    KEY_ROTATED = "KeyRotated", "Event: the host accepted the new key, and the former one is gone."
    CERTIFICATE_ISSUED = "CertificateIssued", "The authority has signed a certificate; it is renewed by itself."
    CERTIFICATE_PENDING = (
        "CertificatePending",
        "The certificate is made out to the pod, which isn't there yet.",
    )
    AUTHORITY_NOT_FOUND = (
        "AuthorityNotFound",
        "The SSHCertificateAuthority that spec.auth names doesn't exist. A present certificate works to its end.",
    )
    AUTHORITY_NOT_READY = (
        "AuthorityNotReady",
        "The SSHCertificateAuthority can't sign; its Ready condition says why. A present certificate works to its end.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A Secret, or a key in one, that the spec or a jump host needs doesn't exist: the message names it.",
    )
    CREDENTIALS_INVALID = (
        "CredentialsInvalid",
        "A key in the Secret can't be read: malformed private key, or a wrong or missing passphrase.",
    )

    HOST_KEY_MATCHES = "HostKeyMatches", "The host presented a key that the spec trusts."
    HOST_KEY_MISMATCH = (
        "HostKeyMismatch",
        "A key was presented that isn't trusted: nothing is connected until a person decides. The message says how.",
    )
    HOST_KEY_NOT_PINNED = (
        "HostKeyNotPinned",
        "With hostKey.type TrustOnFirstUse: the host's key is seen for the first time, and is being pinned.",
    )
    HOST_KEY_NOT_SEEN = "HostKeyNotSeen", "No connection got far enough yet to see the host's key."

    JUMP_HOST_NOT_FOUND = (
        "JumpHostNotFound",
        "A RemoteHost that spec.jumpHosts names doesn't exist or can't be read. The former way is used until then.",
    )
    JUMP_HOST_KEY_NOT_PINNED = (
        "JumpHostKeyNotPinned",
        "A jump host has hostKey.type TrustOnFirstUse, and its key was not seen yet: its own conditions say why.",
    )
    JUMP_CYCLE = (
        "JumpCycle",
        "The jump hosts go round in a circle, which the message names. The former way is used until that is mended.",
    )
    TOO_MANY_JUMP_HOSTS = (
        "TooManyJumpHosts",
        "More than 8 servers would have to be passed, those of referenced RemoteHosts counted: name fewer.",
    )

    CONNECTING = "Connecting", "The first connection is under way."
    CONNECTED = "Connected", "The SSH login succeeded."
    UNREACHABLE = (
        "Unreachable",
        "No TCP connection: refused, no route, no answer or an unknown host name. It is retried by itself.",
    )
    AUTHENTICATION_FAILED = (
        "AuthenticationFailed",
        "The host refused the login: the username or the credential is wrong, or the key isn't in authorized_keys.",
    )
    PROTOCOL_ERROR = "ProtocolError", "What answers is no SSH server that Fairlead can talk to."
    CONNECTION_LOST = "ConnectionLost", "The connection broke; it is made anew by itself."
    INTERNAL_ERROR = "InternalError", "A fault of Fairlead itself; the log of operator or pod has the cause."

    EXPOSED = "Exposed", "The public URL answered as this host's endpoint."
    INSECURE_HTTP = (
        "InsecureHTTP",
        "The public URL answered, but without TLS: tokens travel in the clear. Configure TLS for the endpoint.",
    )
    ENDPOINT_CONFLICT = (
        "EndpointConflict",
        "Another RemoteHost has the path, or one above or below it, or it is another namespace's: choose another path.",
    )
    ENDPOINT_UNREACHABLE = (
        "EndpointUnreachable",
        "The public URL didn't answer the operator as this endpoint; it may still do so from outside.",
    )
    ENDPOINT_MISROUTED = (
        "EndpointMisrouted",
        "Something else answers at the default endpoint's URL: check the Ingress class, DNS and what is in front.",
    )
    DOMAIN_NOT_ALLOWED = (
        "DomainNotAllowed",
        "The namespace may not use the domain: choose one that the message lists, or ask whoever runs the operator.",
    )
    DOMAIN_NAME_TOO_LONG = (
        "DomainNameTooLong",
        "The domain that the operator's template makes of name and namespace is too long for DNS: write a shorter one.",
    )
    GATEWAY_API_NOT_INSTALLED = (
        "GatewayAPINotInstalled",
        "The cluster serves no HTTPRoutes (gateway.networking.k8s.io/v1): install the Gateway API, or use an Ingress.",
    )
    NO_GATEWAY = (
        "NoGateway",
        "Neither spec.endpoint.httpRoute.parentRefs nor the operator's default names a Gateway.",
    )
    ROUTE_NOT_ACCEPTED = (
        "RouteNotAccepted",
        "A Gateway refused the HTTPRoute, or no Gateway looked at it; the message says what its controller wrote.",
    )
    SERVICE_ONLY = "ServiceOnly", "The endpoint is of type Service: it is reachable by its Service only, as asked for."
    NO_PUBLIC_URL = (
        "NoPublicURL",
        "Neither spec.endpoint nor the operator's default says where: the endpoint is reachable by its Service only.",
    )


class McpServerReason(Documented):
    """The reasons in the Ready condition of an MCP server."""

    READY = "Ready", "The server works."
    STARTING = "Starting", "It is being started or connected to, for the first time or again."
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "A variable, a header or the credentials name a Secret, or a key in one, that doesn't exist.",
    )
    COMMAND_NOT_FOUND = (
        "CommandNotFound",
        "Stdio: the account's login shell finds no such program, or may not execute it.",
    )
    START_FAILED = (
        "StartFailed",
        "Stdio: the program ended before it answered; the message holds the last lines of its standard error.",
    )
    EXITED = "Exited", "The server worked, and then ended or closed its connection. It is started anew by itself."
    NOT_LISTENING = "NotListening", "HTTP, SSH: nothing accepts connections at the address."
    FORWARDING_REFUSED = (
        "ForwardingRefused",
        "HTTP, SSH: the host's SSH server doesn't let connections through (AllowTcpForwarding, PermitOpen).",
    )
    ENDPOINT_NOT_FOUND = (
        "EndpointNotFound",
        "HTTP: something answers there, but no MCP server at this path, or not with this transport.",
    )
    UNAUTHORIZED = "Unauthorized", "HTTP: the server wants another credential (401, 403): see headers."
    HOST_KEY_MISMATCH = "HostKeyMismatch", "SSH: the server presented a key that hostKey doesn't trust."
    AUTHENTICATION_FAILED = "AuthenticationFailed", "SSH: the server refused the login."
    NOT_RESPONDING = "NotResponding", "The server didn't answer the MCP handshake within startTimeout."
    PROTOCOL_ERROR = (
        "ProtocolError",
        "What the server sends isn't MCP; often a stdio server that writes its log to standard output.",
    )
    TOO_MANY_SESSIONS = "TooManySessions", "PerSession: as many sessions with the server are open as Fairlead keeps."
    FAILED = "Failed", "It failed in another way, which the message tells."

    LINK_DOWN = "LinkDown", "There is no SSH connection to the host; the host's own conditions say why."
    POD_NOT_READY = "PodNotReady", "The pod that holds the connection doesn't answer; the host's Ready says why."
    CONFIGURATION_PENDING = "ConfigurationPending", "The pod hasn't loaded the newest configuration yet."
    SUSPENDED = "Suspended", "spec.suspended of the host is true."


class TokenReason(Documented):
    """The reasons in an McpToken's Ready condition."""

    READY = "Ready", "The token works on every host that it is for."
    DISTRIBUTING = "Distributing", "Some hosts haven't loaded the token yet."
    NO_HOSTS = "NoHosts", "No RemoteHost in the namespace matches spec.hosts; the token works as soon as one does."
    SUSPENDED = "Suspended", "spec.suspended is true: no host accepts the token."
    EXPIRED = "Expired", "The token's time is over: set a later expirationTime or a longer ttl, or delete it."
    NAME_CONFLICT = (
        "NameConflict",
        "A Secret of that name exists and belongs to somebody else: choose another secretName.",
    )
    INVALID_SPEC = (
        "InvalidSpec",
        _INVALID_SPEC,
    )
    APPLY_FAILED = "ApplyFailed", "The API server refused the Secret; the message holds its answer."
    TOO_MANY_TOKENS = (
        "TooManyTokens",
        "A host has as many tokens as fit already, and older ones go first: delete some, or name fewer hosts.",
    )
    TOO_MANY_HOSTS = (
        "TooManyHosts",
        "A JWT names the URLs of all its hosts, too many for a header: name fewer hosts, or take the format Opaque.",
    )
    SIGNING_KEYS_UNAVAILABLE = (
        "SigningKeysUnavailable",
        "The keys that sign JWTs can't be read or made; the message says why. No JWT is made until they can.",
    )


class AuthorityReason(Documented):
    """The reasons in an SSHCertificateAuthority's Ready condition."""

    READY = "Ready", "Put status.trustedUserCAKeys onto the hosts; RemoteHosts of this namespace get certificates."
    ROTATING = (
        "Rotating",
        "A second key signs as well: put both lines of status.trustedUserCAKeys onto the hosts.",
    )
    SECRET_NOT_FOUND = (
        "SecretNotFound",
        "The Secret that spec.secret names, or ssh-privatekey in it, is missing.",
    )
    KEY_LOST = (
        "KeyLost",
        (
            "The Secret with the generated key is gone. Restore it from a backup; or delete this object and create it"
            " anew, which makes another key that the hosts have to trust."
        ),
    )
    KEY_INVALID = (
        "KeyInvalid",
        "A key in the Secret can't sign: malformed, or of an unknown kind, or its passphrase is wrong or missing.",
    )
    NAME_CONFLICT = (
        "NameConflict",
        "A Secret or ConfigMap of a name that is needed belongs to somebody else: rename or delete one of the two.",
    )
    INVALID_SPEC = (
        "InvalidSpec",
        _INVALID_SPEC,
    )
    APPLY_FAILED = "ApplyFailed", "The API server refused the Secret or the ConfigMap; the message holds its answer."
    KEY_CHANGED = "KeyChanged", "Event: another key is the one that signs by now."
    CERTIFICATES_REVOKED = "CertificatesRevoked", "Event: the key revocation list refuses these serials by now."
