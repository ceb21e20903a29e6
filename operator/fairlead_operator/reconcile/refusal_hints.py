"""What a person has to do where a host refuses credentials that Fairlead has made: the Secret is not theirs to mend."""

from fairlead_api.auth import AuthType
from fairlead_api.remotehost import RemoteHostSpec


def refusal_hint(host: str, spec: RemoteHostSpec) -> str:
    """What to do where the host refuses the login; empty: its credentials are of a Secret that a person fills.

    Args:
        host: The RemoteHost's name.
        spec: Its spec.
    """
    if spec.auth.type is AuthType.GENERATED:
        return (
            f"Put status.publicKey of the RemoteHost {host!r} into the authorized_keys of {spec.username} on the host."
        )
    if spec.auth.type is not AuthType.CERTIFICATE or spec.auth.certificate is None:
        return ""
    certificate = spec.auth.certificate
    authority = certificate.authority_ref.name
    principals = ", ".join(certificate.principals or (spec.username,))
    addresses = (
        f"; that the host sees Fairlead come from one of {', '.join(certificate.source_addresses)}"
        if certificate.source_addresses
        else ""
    )
    return (
        f"Check on the host that TrustedUserCAKeys in sshd_config has status.trustedUserCAKeys of the"
        f" SSHCertificateAuthority {authority!r}; that {spec.username} may be logged in to as one of the certificate's"
        f" principals ({principals}): its own name, or with AuthorizedPrincipalsFile one that is listed there"
        f"{addresses}; and that the file of RevokedKeys, if that is set, is there. Its sshd log says which it was."
    )
