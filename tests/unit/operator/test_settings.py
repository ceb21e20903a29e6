import pytest

from fairlead_operator.settings import Settings, SettingsError

NEEDED = {"FAIRLEAD_NAMESPACE": "fairlead-system", "FAIRLEAD_SIDECAR_IMAGE": "sidecar:1"}


def test_lists_and_objects_are_read_from_text() -> None:
    settings = Settings.from_environment(
        NEEDED | {"FAIRLEAD_WATCH_NAMESPACES": "shop, lab,", "FAIRLEAD_ENDPOINT_ANNOTATIONS": '{"a/b": "c"}'}
    )
    assert settings.watch_namespaces == ("shop", "lab")
    assert settings.endpoint_annotations == {"a/b": "c"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"FAIRLEAD_NAMESPACE": ""}, "FAIRLEAD_NAMESPACE must be set"),
        ({"FAIRLEAD_WORKERS": "many"}, "FAIRLEAD_WORKERS"),
        ({"FAIRLEAD_ENDPOINT_ANNOTATIONS": "{"}, "FAIRLEAD_ENDPOINT_ANNOTATIONS: must be a JSON object"),
        ({"FAIRLEAD_ENDPOINT_PATH_TEMPLATE": "/{name}"}, "must hold {namespace} and {name}"),
        ({"FAIRLEAD_ENDPOINT_PATH_TEMPLATE": "/{namespace}/{nme}"}, "not nme"),
        ({"FAIRLEAD_ENDPOINT_PATH_TEMPLATE": "/.well-known/{namespace}/{name}"}, "must not begin with /.well-known"),
        (
            {"FAIRLEAD_ENDPOINT_HOST": "{name}.mcp.example.com", "FAIRLEAD_ENDPOINT_PATH_TEMPLATE": "/x"},
            "unless the host",
        ),
        ({"FAIRLEAD_ENDPOINT_HOST": "*.mcp.example.com"}, "must be a domain such as"),
        ({"FAIRLEAD_ENDPOINT_HOST": "{nme}.mcp.example.com"}, "not nme"),
        ({"FAIRLEAD_ENDPOINT_TLS_SECRET_NAME": "{host}"}, "not host"),
        ({"FAIRLEAD_ENDPOINT_TYPE": "LoadBalancer"}, "'Ingress', 'HTTPRoute' or 'Service'"),
        ({"FAIRLEAD_ENDPOINT_CONTROLLER": "envoy"}, "'nginx', 'traefik' or 'haproxy'"),
        ({"FAIRLEAD_ENDPOINT_GATEWAY_PARENT_REFS": '[{"nme": "x"}]'}, "FAIRLEAD_ENDPOINT_GATEWAY_PARENT_REFS"),
        ({"FAIRLEAD_ENDPOINT_URL_PREFIX": "mcp.example.com"}, "must be a URL such as"),
        (
            {
                "FAIRLEAD_ENDPOINT_HOST": "{name}.{namespace}.x",
                "FAIRLEAD_ENDPOINT_URL_PREFIX": "https://mcp.example.com",
            },
            "hosts would share a URL",
        ),
        (
            {"FAIRLEAD_SIDECAR_DEFAULTS": '{"affinity": {"podAntiAfinity": {}}}'},
            "FAIRLEAD_SIDECAR_DEFAULTS, affinity.podAntiAfinity: Extra inputs are not permitted",
        ),
        (
            {"FAIRLEAD_SIDECAR_DEFAULTS": '{"tolerations": [{"efect": "NoSchedule"}]}'},
            "FAIRLEAD_SIDECAR_DEFAULTS, tolerations.0.efect",
        ),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(changes: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment(NEEDED | changes)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("", "/{namespace}/{name}"),
        ("mcp.example.com", "/{namespace}/{name}"),
        ("{namespace}.mcp.example.com", "/{namespace}/{name}"),
        ("{name}.{namespace}.mcp.example.com", "/"),
    ],
)
def test_the_path_follows_from_the_host_where_none_is_given(host: str, path: str) -> None:
    assert Settings.from_environment(NEEDED | {"FAIRLEAD_ENDPOINT_HOST": host}).endpoint_path_template == path
