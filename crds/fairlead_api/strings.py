"""Bounded strings: each says in CEL what it must look like, with a sentence for people.

The rules are CEL and not `pattern`, because the API server reports a failed pattern as the bare expression.
"""

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fairlead_api.base import Cel

DNS1123_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS1123_SUBDOMAIN = rf"{DNS1123_LABEL}(\\.{DNS1123_LABEL})*"
LABEL_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_HOST_LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?"


def label_key_rule(key: str) -> str:
    """CEL that says whether the expression `key` is a label key (Kubernetes' qualified name)."""
    return f"{key}.size() <= 317 && {key}.matches('^({DNS1123_SUBDOMAIN}/)?{LABEL_NAME}$')"


ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Cel(
        f"self.matches('^{DNS1123_SUBDOMAIN}$')",
        "must be the name of an object: lower-case letters, digits, '-' and '.', beginning and ending with a letter"
        " or digit",
    ),
]
"""The name of a Kubernetes object (DNS-1123 subdomain)."""

NamespaceName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Cel(
        f"self.matches('^{DNS1123_LABEL}$')",
        "must be the name of a namespace: lower-case letters, digits and '-', beginning and ending with a letter or"
        " digit",
    ),
]
"""The name of a namespace (DNS-1123 label)."""

HOST_NAME_MAX_LENGTH = 50
HostName = Annotated[
    str,
    Field(min_length=1, max_length=HOST_NAME_MAX_LENGTH),
    Cel(
        "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "must be the name of a RemoteHost: lower-case letters, digits and '-', beginning with a letter",
    ),
]
"""The name of a RemoteHost (DNS-1035 label of at most 50 characters)."""

Address = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Cel(
        f"isIP(self) || self.matches('^{_HOST_LABEL}(\\\\.{_HOST_LABEL})*\\\\.?$')",
        "must be a host name or an IP address alone: the user goes to username, the port to port, and IPv6 has no"
        " brackets",
    ),
]
"""A host name or IP address."""

Username = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Cel(
        "self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.@+$\\\\\\\\]*$')",
        "must be an account name: letters, digits and _ . @ + $ \\ -, without spaces",
    ),
]
"""An account on the host."""

Subject = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Cel(
        "self.matches('^[A-Za-z0-9][-A-Za-z0-9_.@:/+]*$')",
        "must name who uses the token: letters, digits and - _ . @ : / +, without spaces, beginning with a letter"
        " or digit",
    ),
]
"""Who a token belongs to, as audit lines show it."""

PublicKey = Annotated[
    str,
    Field(min_length=20, max_length=4096),
    Cel(
        "self.matches('^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))"
        " AAAA[A-Za-z0-9+/]+={0,2}( [^\\\\n\\\\r]*)?$')",
        "must be one public key line as in the host's /etc/ssh/ssh_host_*_key.pub, such as 'ssh-ed25519 AAAA...':"
        " without the host name that ssh-keyscan puts in front, and no fingerprint",
    ),
]
"""A public key in OpenSSH's one-line format."""

VARIABLE_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"


def _check_variable_name(name: str) -> str:
    if not re.fullmatch(VARIABLE_PATTERN, name) or name.startswith("FAIRLEAD_"):
        raise ValueError(
            f"{name!r} is no name for a variable: letters, digits and '_', not beginning with a digit or FAIRLEAD_"
        )
    return name


VariableName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Cel(
        f"self.matches('{VARIABLE_PATTERN}')",
        "must be the name of a variable: letters, digits and '_', not beginning with a digit",
    ),
    Cel("!self.startsWith('FAIRLEAD_')", "begins with FAIRLEAD_, which is kept for Fairlead itself: rename it"),
    AfterValidator(_check_variable_name),
]
"""The name of an environment variable (POSIX)."""

Pattern = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Cel(
        "''.matches(self) ? true : true",
        "is no valid RE2 pattern: mend it, see https://github.com/google/re2/wiki/Syntax",
    ),
]
"""A regular expression in RE2's syntax. The rule holds for each: evaluating a malformed one is what fails."""


def _check_path(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path:
        raise ValueError(f"{path!r} is no absolute path without '..', '.', '//' or a '/' at the end")
    return path


Path = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Cel(
        "self == '/' || (self.matches('^(/[^/]+)+$') && !self.matches('/[.][.]?(/|$)'))",
        "must be an absolute path such as /srv/app: beginning with '/', without '..', '.', '//' or a '/' at the end",
    ),
    AfterValidator(_check_path),
]
"""An absolute, clean path on the host."""

DomainName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Cel(
        f"self.matches('^{DNS1123_SUBDOMAIN}$') && !isIP(self)",
        "must be a domain name such as mcp.example.com in lower case, without scheme, port or path",
    ),
]
"""A domain name of an Ingress rule."""

UrlPath = Annotated[
    str,
    Field(min_length=1, max_length=256),
    Cel(
        "self == '/' || (self.matches('^(/[-A-Za-z0-9_.~]+)+$') && !self.matches('/[.][.]?(/|$)'))",
        "must be a URL path such as /shop/web-01: beginning with '/', without '..', '//' or a '/' at the end",
    ),
]
"""The path below which an endpoint is served."""

Url = Annotated[
    str,
    Field(min_length=8, max_length=1024),
    Cel(
        "isURL(self) && self.matches('^https?://[^@?#]+$')",
        "must be a full URL such as https://mcp.example.com/shop/web-01/mcp: http or https, without user, query or"
        " fragment",
    ),
]
"""The public URL of an endpoint."""

_HOST_URL = r"https?://([^]/?#@:\s[]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?([/?][^#\s]*)?"
_HOST_URL_IN_CEL = _HOST_URL.replace("\\", "\\\\")
_HOST_URL_RULE = (
    "must be a full URL as seen from the host, such as http://127.0.0.1:8080/mcp: http or https, without user,"
    " password (use headers), fragment or spaces"
)


def _check_host_url(url: str) -> str:
    if not re.fullmatch(_HOST_URL, url, re.ASCII):
        # Not quoted: it may hold a password.
        raise ValueError(_HOST_URL_RULE)
    return url


HostUrl = Annotated[
    str,
    Field(min_length=8, max_length=512),
    Cel(f"self.matches('^{_HOST_URL_IN_CEL}$') && isURL(self)", _HOST_URL_RULE),
    AfterValidator(_check_host_url),
]
"""The URL of something that the host can reach."""

McpServerName = Annotated[
    str,
    Field(min_length=1, max_length=32),
    Cel(
        "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "must be lower-case letters, digits and '-', beginning with a letter, not ending with '-'",
    ),
]
"""The name of an MCP server of a host, which becomes the prefix of its tools."""

ToolGlob = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Cel(
        "self.matches('^[A-Za-z0-9_.*?-]+$')",
        "must be the name of a tool, in which * stands for any characters and ? for one, such as hn__*: letters,"
        " digits and _ . -",
    ),
]
"""Names of tools, with wildcards."""

LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=317),
    Cel(
        label_key_rule("self"),
        "must be a label key such as role or example.com/role",
    ),
]
"""The key of a label."""

LabelValue = Annotated[
    str,
    Field(max_length=63),
    Cel(
        f"self == '' || self.matches('^{LABEL_NAME}$')",
        "must be a label value: at most 63 letters, digits and - _ ., beginning and ending with a letter or digit",
    ),
]
"""The value of a label."""
