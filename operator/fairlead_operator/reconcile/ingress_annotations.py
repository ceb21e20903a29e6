"""What Ingress controllers need to be told so that streams stay open and files of any size pass.

By default nginx collects answers before it passes them on, gives up on a silent connection after a minute and takes no
body above 1 MiB; HAProxy gives up after 50 s. A stream of ours is never silent for longer than 25 s, but what an agent
waits for may be a single answer. Traefik does neither by itself; its `respondingTimeouts` are settings of its
entry points, which no annotation changes.
"""

from fairlead_api.endpoint import IngressTls

_SECONDS = 3600
"""For how long either side may be silent."""

_NGINX = {
    # https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": f"{_SECONDS}",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": f"{_SECONDS}",
    # https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-annotations/
    "nginx.org/proxy-buffering": "False",
    "nginx.org/client-max-body-size": "0",
    "nginx.org/proxy-read-timeout": f"{_SECONDS}s",
    "nginx.org/proxy-send-timeout": f"{_SECONDS}s",
}
"""For both controllers that are called NGINX: each ignores the other's."""
_HAPROXY = {
    # https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md
    "haproxy.org/timeout-server": f"{_SECONDS}s",
    # https://haproxy-ingress.github.io/docs/configuration/keys/
    "haproxy-ingress.github.io/timeout-server": f"{_SECONDS}s",
    "haproxy-ingress.github.io/proxy-body-size": "unlimited",
}
"""For both controllers that are called HAProxy; neither collects bodies, and the first has no limit for them."""
_BY_CONTROLLER: dict[str, dict[str, str]] = {"nginx": _NGINX, "haproxy": _HAPROXY, "traefik": {}}


def for_class(class_name: str, controller: str = "") -> dict[str, str]:
    """The annotations for Ingresses of a class.

    Args:
        class_name: The IngressClass.
        controller: `nginx`, `haproxy` or `traefik`; empty: what the name of the class contains.
    """
    if not controller:
        controller = next((known for known in _BY_CONTROLLER if known in class_name), "")
    return dict(_BY_CONTROLLER.get(controller, {}))


def for_issuer(tls: IngressTls | None) -> dict[str, str]:
    """What makes cert-manager fill the Secret (https://cert-manager.io/docs/usage/ingress/)."""
    if tls is not None and tls.cluster_issuer:
        return {"cert-manager.io/cluster-issuer": tls.cluster_issuer}
    return {"cert-manager.io/issuer": tls.issuer} if tls is not None and tls.issuer else {}
