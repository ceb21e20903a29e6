"""What the chart makes of its values, and which values it refuses."""

import re
from typing import Any

import pytest

from fairlead_api.generate.crd import KINDS
from fairlead_operator.cluster.permissions import OWN_NAMESPACE, WATCHED_NAMESPACES, Rule
from fairlead_operator.reconcile.labels import host_labels
from fairlead_operator.settings import Settings
from tests.cluster.state import REPOSITORY, Description
from tests.e2e.support.chart import CHART, HelmError, helm, only, render
from tests.e2e.support.kube import Object


def settings(objects: list[Object]) -> Settings:
    """The operator's settings, read from the Deployment as the operator reads them from its environment."""
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    # What a field reference gives is known on the node only.
    environment = {item["name"]: item.get("value", "from-the-pod") for item in container["env"]}
    unknown = set(environment) - {f"FAIRLEAD_{name.upper()}" for name in Settings.model_fields}
    assert not unknown
    return Settings.from_environment(environment)


def granted(rules: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    """Rules of a Role, one by one: group, resource, name (`*`: any), verb."""
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }


def needed(rules: tuple[Rule, ...]) -> set[tuple[str, str, str, str]]:
    """What the operator says that it needs, in the same form."""
    return {
        (rule.group, rule.resource, name, verb)
        for rule in rules
        for name in rule.names or ("*",)
        for verb in rule.verbs
    }


def test_the_chart_passes_lint(cluster: Description) -> None:
    helm(cluster.helm, "lint", "--strict", CHART)


def test_by_default_the_operator_serves_all_namespaces_without_a_default_endpoint(cluster: Description) -> None:
    given = settings(render(cluster.helm))

    assert given.watch_namespaces == ()
    assert given.sidecar_image == "example.com/sidecar:0.1.0"
    assert given.endpoint_path_template == "/{namespace}/{name}"
    assert not given.has_default_endpoint


def test_every_value_reaches_the_operator(cluster: Description) -> None:
    given = settings(
        render(
            cluster.helm,
            image={
                "operator": {"repository": "example.com/operator"},
                "sidecar": {
                    "repository": "example.com:5000/team/sidecar",
                    "tag": "1.2",
                    "digest": f"sha256:{'a' * 64}",
                    "pullPolicy": "Always",
                },
            },
            imagePullSecrets=[{"name": "pull-a"}, {"name": "pull-b"}],
            watchNamespaces=["shop", "lab"],
            endpoint={
                "host": "mcp.example.com",
                "pathTemplate": "/hosts/{namespace}/{name}",
                "type": "HTTPRoute",
                "className": "traefik",
                "controller": "nginx",
                "gateway": {"parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}]},
                "allowedDomains": {"shop": ["shop.example.com", "*.apps.example.com"], "lab": []},
                "tls": {"secretName": "{namespace}-mcp-tls", "clusterIssuer": "letsencrypt"},
                "annotations": {"example.com/a": 'with "quotes", {braces} and: colons'},
                "urlPrefix": "https://agents.example.com",
                "trustedProxies": ["10.42.0.0/16", "2001:db8::/32"],
            },
            tokens={"issuer": "https://id.example.com"},
            logLevel="debug",
            logFormat="text",
        )
    )

    assert given.sidecar_image == f"example.com:5000/team/sidecar@sha256:{'a' * 64}"
    assert given.sidecar_image_pull_policy == "Always"
    assert given.image_pull_secrets == ("pull-a", "pull-b")
    assert given.watch_namespaces == ("shop", "lab")
    assert given.endpoint_host == "mcp.example.com"
    assert given.endpoint_path_template == "/hosts/{namespace}/{name}"
    assert given.endpoint_class_name == "traefik"
    assert given.endpoint_type == "HTTPRoute"
    assert given.endpoint_controller == "nginx"
    (parent,) = given.endpoint_gateway_parent_refs
    assert (parent.name, parent.namespace, parent.section_name) == ("public", "gateways", "https")
    assert given.endpoint_allowed_domains == {"shop": ("shop.example.com", "*.apps.example.com"), "lab": ()}
    assert given.endpoint_tls_secret_name == "{namespace}-mcp-tls"
    assert given.endpoint_tls_cluster_issuer == "letsencrypt"
    assert given.endpoint_annotations == {"example.com/a": 'with "quotes", {braces} and: colons'}
    assert given.endpoint_url_prefix == "https://agents.example.com"
    assert given.endpoint_trusted_proxies == ("10.42.0.0/16", "2001:db8::/32")
    assert given.issuer == "https://id.example.com"
    assert (given.log_level, given.log_format) == ("debug", "text")


def test_a_domain_for_each_host_needs_no_path(cluster: Description) -> None:
    given = settings(render(cluster.helm, endpoint={"host": "{name}.{namespace}.mcp.example.com"}))

    assert given.endpoint_host == "{name}.{namespace}.mcp.example.com"
    assert given.endpoint_path_template == "/"


def test_watching_all_namespaces_grants_exactly_what_the_operator_needs(cluster: Description) -> None:
    objects = render(cluster.helm)

    assert granted(only(objects, "ClusterRole")["rules"]) == needed(WATCHED_NAMESPACES)
    assert granted(only(objects, "Role")["rules"]) == needed(OWN_NAMESPACE)
    assert only(objects, "Role")["metadata"]["namespace"] == "fairlead-system"


def test_watching_some_namespaces_grants_nothing_beyond_them(cluster: Description) -> None:
    objects = render(cluster.helm, watchNamespaces=["shop", "lab"])
    roles = {o["metadata"]["namespace"]: granted(o["rules"]) for o in objects if o["kind"] == "Role"}

    assert not [o for o in objects if o["kind"].startswith("ClusterRole")]
    assert roles == {
        "shop": needed(WATCHED_NAMESPACES),
        "lab": needed(WATCHED_NAMESPACES),
        "fairlead-system": needed(OWN_NAMESPACE),
    }


def test_the_operators_own_namespace_can_be_watched_too(cluster: Description) -> None:
    objects = render(cluster.helm, watchNamespaces=["fairlead-system"])
    roles = [o["metadata"]["name"] for o in objects if o["kind"] == "Role"]

    assert len(set(roles)) == 2


@pytest.mark.parametrize("scope", [[], ["shop", "lab"]], ids=["all", "some"])
def test_each_role_is_bound_to_the_operators_account_alone(cluster: Description, scope: list[str]) -> None:
    objects = render(cluster.helm, watchNamespaces=scope)
    account = only(objects, "ServiceAccount")["metadata"]
    roles = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects if "rules" in o}
    bindings = [o for o in objects if o["kind"].endswith("RoleBinding")]

    assert {(b["roleRef"]["kind"], b["metadata"].get("namespace"), b["roleRef"]["name"]) for b in bindings} == roles
    for binding in bindings:
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]


@pytest.mark.parametrize("scope", [[], ["shop"]], ids=["all", "some"])
def test_no_rule_has_a_wildcard(cluster: Description, scope: list[str]) -> None:
    for obj in render(cluster.helm, watchNamespaces=scope):
        for rule in obj.get("rules", []):
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}


def test_two_releases_do_not_share_cluster_scoped_names(cluster: Description) -> None:
    one, two = (render(cluster.helm, namespace=namespace) for namespace in ("team-a", "team-b"))

    assert only(one, "ClusterRole")["metadata"]["name"] != only(two, "ClusterRole")["metadata"]["name"]


def test_crds_are_kept_on_uninstall_and_can_be_left_out(cluster: Description) -> None:
    crds = [o for o in render(cluster.helm) if o["kind"] == "CustomResourceDefinition"]
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds} == {"keep"}
    assert {crd["spec"]["names"]["kind"] for crd in crds} == {kind.name for kind in KINDS}

    without = render(cluster.helm, crds={"enabled": False})
    assert not [o for o in without if o["kind"] == "CustomResourceDefinition"]


def test_an_account_that_exists_can_be_used(cluster: Description) -> None:
    objects = render(cluster.helm, serviceAccount={"create": False, "name": "mine"})

    assert not [o for o in objects if o["kind"] == "ServiceAccount"]
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    assert only(objects, "RoleBinding")["subjects"][0]["name"] == "mine"


def test_what_hosts_pods_get_by_default_reaches_the_operator(cluster: Description) -> None:
    written: dict[str, Any] = {
        "resources": {"limits": {"memory": "512Mi"}},
        "nodeSelector": {"role": "edge"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "fleet",
        "labels": {"team": "platform"},
        "annotations": {"example.com/scrape": "true"},
        "terminationGracePeriodSeconds": 60,
    }

    assert settings(render(cluster.helm, sidecar=written)).sidecar_defaults.to_manifest() == {
        **written,
        "resources": {"limits": {"memory": "512Mi"}},
    }
    assert settings(render(cluster.helm)).sidecar_defaults.to_manifest() == {"terminationGracePeriodSeconds": 30}


def test_hosts_pods_get_network_policies_that_know_the_operator(cluster: Description) -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "traefik"}}}]
    objects = render(cluster.helm, networkPolicy={"ingressFrom": peers, "metricsFrom": peers})
    policies = settings(objects).network_policy

    assert policies.enabled
    assert policies.operator_labels == only(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert (policies.ingress_from, policies.metrics_from) == (tuple(peers), tuple(peers))
    assert only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == policies.operator_labels

    without = render(cluster.helm, networkPolicy={"enabled": False})
    assert not settings(without).network_policy.enabled
    assert not [o for o in without if o["kind"] == "NetworkPolicy"]


def test_monitors_alerts_and_the_disruption_budget_are_there_only_where_they_are_asked_for(
    cluster: Description,
) -> None:
    kinds = {"ServiceMonitor", "PrometheusRule", "PodDisruptionBudget"}
    assert not kinds & {o["kind"] for o in render(cluster.helm)}

    on = {"enabled": True}
    objects = render(
        cluster.helm,
        serviceMonitor=on,
        prometheusRule=on,
        podDisruptionBudget=on,
        replicas=2,
        watchNamespaces=["shop", "lab"],
    )
    assert kinds <= {o["kind"] for o in objects}
    service = only(objects, "Service")["metadata"]["labels"]
    assert (
        only(objects, "ServiceMonitor", "fairlead-operator")["spec"]["selector"]["matchLabels"].items()
        <= service.items()
    )
    hosts = only(objects, "ServiceMonitor", "fairlead-hosts")["spec"]
    assert hosts["namespaceSelector"] == {"matchNames": ["shop", "lab"]}
    assert hosts["selector"]["matchLabels"].items() <= host_labels("web-01").items()
    assert only(objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 1


def test_alerts_are_about_metrics_that_there_are(cluster: Description) -> None:
    rules = only(render(cluster.helm, prometheusRule={"enabled": True}), "PrometheusRule")["spec"]["groups"][0]["rules"]
    names = set(re.findall(r"fairlead_[a-z_]+(?=\{|\[| )", " ".join(rule["expr"] for rule in rules)))
    page = (REPOSITORY / "docs" / "reference" / "metrics.md").read_text()

    assert names
    assert not [name for name in names if f"`{name}`" not in page]
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules)


def test_placement_and_labels_reach_the_pod(cluster: Description) -> None:
    objects = render(
        cluster.helm,
        replicas=2,
        nodeSelector={"role": "infra"},
        tolerations=[{"key": "infra", "operator": "Exists"}],
        priorityClassName="system-cluster-critical",
        podLabels={"team": "platform"},
        podAnnotations={"example.com/scrape": "true"},
    )
    deployment = only(objects, "Deployment")["spec"]
    pod = deployment["template"]

    assert deployment["replicas"] == 2
    assert pod["spec"]["nodeSelector"] == {"role": "infra"}
    assert pod["spec"]["tolerations"] == [{"key": "infra", "operator": "Exists"}]
    assert pod["spec"]["priorityClassName"] == "system-cluster-critical"
    assert pod["metadata"]["labels"]["team"] == "platform"
    assert pod["metadata"]["annotations"] == {"example.com/scrape": "true"}
    assert deployment["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert only(objects, "Service")["spec"]["selector"] == deployment["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"watchNamespace": ["shop"]}, "additional properties 'watchNamespace' not allowed"),
        ({"watchNamespaces": "shop"}, "'/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Shop"]}, "'/watchNamespaces/0': 'Shop' does not match pattern"),
        ({"watchNamespaces": ["shop", "shop"]}, "'/watchNamespaces': items at 0 and 1 are equal"),
        ({"endpoint": {"pathTemplate": "/{namespace}/{name}/"}}, "'/endpoint/pathTemplate'"),
        ({"endpoint": {"host": "https://mcp.example.com"}}, "'/endpoint/host'"),
        (
            {"endpoint": {"pathTemplate": "/{name}"}},
            "together must hold {namespace} and {name}, or hosts would share a path",
        ),
        ({"endpoint": {"host": "{nme}.mcp.example.com"}}, "'/endpoint/host'"),
        (
            {"endpoint": {"host": "{name}.{namespace}.x", "urlPrefix": "https://mcp.example.com"}},
            "endpoint.urlPrefix must hold {namespace} and {name} as endpoint.host does",
        ),
        ({"endpoint": {"type": "LoadBalancer"}}, "value must be one of 'Ingress', 'HTTPRoute', 'Service'"),
        ({"endpoint": {"controller": "envoy"}}, "'/endpoint/controller'"),
        ({"endpoint": {"gateway": {"parentRefs": [{"namespace": "gateways"}]}}}, "missing property 'name'"),
        ({"endpoint": {"allowedDomains": {"shop": ["*"]}}}, "'/endpoint/allowedDomains/shop/0'"),
        ({"endpoint": {"urlPrefix": "mcp.example.com"}}, "'/endpoint/urlPrefix'"),
        ({"endpoint": {"urlPrefix": "https://user:secret@mcp.example.com"}}, "'/endpoint/urlPrefix'"),
        ({"endpoint": {"trustedProxies": ["10.42.0.1"]}}, "'/endpoint/trustedProxies/0': '10.42.0.1' does not match"),
        (
            {"endpoint": {"trustedProxies": ["10.42.0.0/16", "10.42.0.1/16"]}},
            "10.42.0.1/16 must be a network without bits",
        ),
        ({"podDisruptionBudget": {"enabled": True}}, "podDisruptionBudget.minAvailable must be less than replicas"),
        ({"tokens": {"issuer": "fairlead"}}, "'/tokens/issuer': 'fairlead' does not match pattern"),
        ({"endpoint": {"tls": {"secret": "x"}}}, "additional properties 'secret' not allowed"),
        ({"image": {"operator": {"repository": "example.com/operator:1.0"}}}, "'/image/operator/repository'"),
        ({"image": {}}, "image.operator.repository must be set: build the Dockerfile's target operator, push it"),
        ({"image": {"operator": {"repository": "a"}}}, "image.sidecar.repository must be set"),
        ({"image": {"operator": {"digest": "abc"}}}, "'/image/operator/digest'"),
        ({"imagePullSecrets": ["pull"]}, "'/imagePullSecrets/0': got string, want object"),
        ({"sidecar": {"image": "mine"}}, "additional properties 'image' not allowed"),
        ({"sidecar": {"terminationGracePeriodSeconds": 5}}, "minimum: got 5, want 15"),
        ({"networkPolicy": {"ingressFrom": "traefik"}}, "'/networkPolicy/ingressFrom': got string, want array"),
        ({"podDisruptionBudget": {"minAvailable": 0}}, "'/podDisruptionBudget/minAvailable'"),
        ({"serviceMonitor": {"interval": "often"}}, "'/serviceMonitor/interval'"),
        ({"replicas": -1}, "'/replicas': minimum: got -1, want 0"),
        ({"logLevel": "verbose"}, "'/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"serviceAccount": {"create": False}}, "set serviceAccount.name to the account to use"),
    ],
)
def test_a_bad_value_is_refused_by_name(cluster: Description, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HelmError) as refused:
        render(cluster.helm, **values)

    assert sentence in str(refused.value)


def test_an_older_kubernetes_is_refused(cluster: Description) -> None:
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.31"):
        helm(cluster.helm, "template", "fairlead", CHART, "--kube-version", "1.30.0")
