import random

from fairlead_sidecar.ssh.backoff import Backoff


def test_delays_double_up_to_the_cap_and_are_spread() -> None:
    backoff = Backoff(first=0.2, cap=10)
    bounds = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]
    for bound in bounds:
        assert bound / 2 <= backoff.next() <= bound


def test_two_links_that_fail_together_do_not_try_again_together() -> None:
    random.seed(7)
    delays = [Backoff(first=10, cap=10).next() for _ in range(1000)]
    assert len(set(delays)) == 1000
    # Spread evenly over the whole range: each tenth of it has its share.
    counts = [sum(5 + tenth / 2 <= delay < 5.5 + tenth / 2 for delay in delays) for tenth in range(10)]
    assert min(counts) > 60
    assert max(counts) < 140


def test_a_reset_begins_anew() -> None:
    backoff = Backoff(first=1, cap=60)
    for _ in range(20):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1


def test_many_failures_do_no_harm() -> None:
    backoff = Backoff(first=1, cap=60)
    assert all(30 <= delay <= 60 for delay in [backoff.next() for _ in range(5000)][10:])
