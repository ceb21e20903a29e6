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
        ({"FAIRLEAD_ENDPOINT_URL_PREFIX": "mcp.example.com"}, "must be a URL such as"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_variable(changes: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment(NEEDED | changes)
    assert says in str(error.value)
