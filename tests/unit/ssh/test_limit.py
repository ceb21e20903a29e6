"""What is learned of a server's MaxSessions."""

from fairlead_sidecar.ssh.limit import MOST, SessionLimit


def test_before_the_first_refusal_nothing_is_kept_free() -> None:
    limit = SessionLimit()
    assert limit.commands(with_sftp=True) == MOST
    assert not limit.probe(0)


def test_a_refusal_teaches_the_most_that_was_ever_given_at_once() -> None:
    limit = SessionLimit()
    for sessions in (1, 2, 10, 3):
        limit.granted(sessions)
    limit.refused(100)
    assert limit.known == limit.most == 10
    assert (limit.commands(with_sftp=False), limit.commands(with_sftp=True)) == (9, 8)


def test_where_sessions_are_scarce_all_are_used() -> None:
    limit = SessionLimit()
    limit.refused(100)
    assert (limit.known, limit.scarce) == (1, True)
    assert limit.commands(with_sftp=True) == 1


def test_one_more_is_tried_now_and_then() -> None:
    limit = SessionLimit()
    limit.granted(4)
    for _ in range(5):
        limit.refused(100)
    assert not limit.probe(100.5)
    assert limit.probe(101)
    assert not limit.probe(101.5)
    limit.refused(101.6)
    assert not limit.probe(103.5)
    assert limit.probe(103.7)
    limit.granted(5)
    assert limit.known == 5
    assert limit.probe(103.8)
