import pytest

from fairlead_client.destination import Destination


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-01", Destination("web-01")),
        ("deploy@web-01", Destination("web-01", "deploy")),
        ("deploy@web-01:2222", Destination("web-01", "deploy", 2222)),
        ("web_01.corp.example:22", Destination("web_01.corp.example", None, 22)),
        ("Web-01", Destination("Web-01")),
        ("10.0.0.7", Destination("10.0.0.7")),
        ("[::1]:22", Destination("::1", None, 22)),
        ("root@[2001:db8::1]", Destination("2001:db8::1", "root")),
        ("root@2001:db8::1", Destination("2001:db8::1", "root")),
        ("[fe80::1%eth0]:22", Destination("fe80::1%eth0", None, 22)),
        ("user@corp@web-01", Destination("web-01", "user@corp")),
        ("ssh://deploy@web-01:2222", Destination("web-01", "deploy", 2222)),
        ("CORP\\deploy@web-01", Destination("web-01", "CORP\\deploy")),
        ("ssh://web-01/", Destination("web-01")),
    ],
)
def test_destination_is_read_as_ssh_reads_it(text: str, expected: Destination) -> None:
    assert Destination.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no destination"),
        ("deploy@", "is no destination"),
        ("@web-01", "is no destination"),
        ("web-01/etc", "is no destination"),
        ("web-01:0", "not a number from 1 to 65535"),
        ("web-01:65536", "not a number from 1 to 65535"),
        ("web-01:ssh", "not a number from 1 to 65535"),
        ("web-01:", "not a number from 1 to 65535"),
        ("deploy:hunter2@web-01", "a password does not belong"),
        ("-oProxyCommand=id", "is no host name"),
        ("web-01;id", "is no host name"),
        ("$(id)@web-01", "is no user name"),
        ("-l@web-01", "is no user name"),
        ("deploy\\@web-01", "is no user name"),
    ],
)
def test_malformed_destination_is_refused_with_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Destination.parse(text)


def test_refused_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="password") as refusal:
        Destination.parse("deploy:hunter2@web-01")
    assert "hunter2" not in str(refusal.value)
