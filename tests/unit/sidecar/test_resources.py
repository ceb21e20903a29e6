"""URIs of files."""

import pytest

from fairlead_sidecar.errors import InvalidRequest
from fairlead_sidecar.protocol.resources import path_of, uri_of
from tests.unit.sidecar.test_schema import CONFIG


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/etc/hosts", "ssh://web-01/etc/hosts"),
        ("/", "ssh://web-01/"),
        ("~/notes", "ssh://web-01/~/notes"),
        ("/a b/c#d?e%f/ü", "ssh://web-01/a%20b/c%23d%3Fe%25f/%C3%BC"),
        ("/a//b/../c", "ssh://web-01/a//b/../c"),
    ],
)
def test_a_path_and_its_uri_stand_for_each_other(path: str, uri: str) -> None:
    assert uri_of(CONFIG, path) == uri
    assert path_of(uri, CONFIG) == path


def test_a_uri_is_taken_as_people_write_it() -> None:
    assert path_of("ssh://WEB-01/etc", CONFIG) == "/etc"
    assert path_of("ssh://web-01/~", CONFIG) == "~"
    assert path_of("ssh://web-01/~other/x", CONFIG) == "/~other/x"


@pytest.mark.parametrize(
    "uri",
    [
        "ssh://web-01",
        "ssh://web-01.evil/x",
        "ssh://root@web-01/x",
        "ssh:///x",
        "http://web-01/x",
        "/x",
        "",
        "ssh://[/x",
    ],
)
def test_what_is_no_uri_of_the_host_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        path_of(uri, CONFIG)
