from fairlead_operator.cluster.errors import Forbidden, Terminating, api_error


def test_a_namespace_that_is_about_to_go_is_told_from_other_refusals() -> None:
    message = (
        'PATCH /apis/apps/v1: deployments.apps "rh-web-01" is forbidden: unable to create new content'
        " in namespace shop because it is being terminated"
    )
    assert isinstance(api_error(403, "Forbidden", message), Terminating)
    assert type(api_error(403, "Forbidden", "exceeded quota")) is Forbidden
