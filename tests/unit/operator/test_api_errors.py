from fairlead_operator.cluster.errors import Forbidden, Invalid, Terminating, Unavailable, api_error


def test_a_namespace_that_is_about_to_go_is_told_from_other_refusals() -> None:
    message = (
        'PATCH /apis/apps/v1: deployments.apps "rh-web-01" is forbidden: unable to create new content'
        " in namespace shop because it is being terminated"
    )
    assert isinstance(api_error(403, "Forbidden", message), Terminating)
    assert type(api_error(403, "Forbidden", "exceeded quota")) is Forbidden


def test_a_field_that_the_schema_does_not_have_is_a_refusal_and_no_passing_fault() -> None:
    message = (
        "failed to create typed patch object (shop/rh-web-01; networking.k8s.io/v1, Kind=NetworkPolicy):"
        " .spec.ingress[0].from[0].namespaceSelector.matchLabel: field not declared in schema"
    )
    assert type(api_error(500, "Internal Server Error", message)) is Invalid
    assert type(api_error(500, "InternalError", "etcdserver: request timed out")) is Unavailable
