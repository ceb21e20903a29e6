"""A rotated McpToken has two tokens for a while: what was begun with the former goes on."""

from datetime import UTC, datetime, timedelta

from fairlead_sidecar.config import Permission, TokenGrant
from tests.integration.app.endpoint import INITIALIZE, RunningEndpoint, call, initialize, lines_of, processes, until
from tests.integration.app.streams import events, sleeper

LIMIT = 2.0
"""Seconds that revocation may take."""


def expired(grant: TokenGrant) -> TokenGrant:
    return grant.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})


async def test_what_was_begun_with_the_former_token_goes_on_after_its_time_and_dies_with_the_last(
    endpoint: RunningEndpoint,
) -> None:
    kept = endpoint.config.tokens
    (former, old), (newer, new) = (endpoint.keyring.grant(uid="rotated") for _ in range(2))
    endpoint.reconfigure(tokens=(*kept, old, new))
    await endpoint.settled()
    (waited_for, foreground), (alone, background) = sleeper(), sleeper()
    async with endpoint.http(former) as http, endpoint.http(newer) as later:
        session = await initialize(http, endpoint.url)
        begin = call("execute_command", command=alone, wait_seconds=0)
        (answer,) = lines_of(await http.post(endpoint.url, json=begin, headers=session))
        message = call("execute_command", command=waited_for)
        async with (
            events(http, "GET", endpoint.url, session) as waiting,
            events(http, "POST", endpoint.url, session, message) as calling,
        ):
            await until(lambda: all(len(processes(mark)) == 1 for mark in (foreground, background)), "the commands")
            endpoint.reconfigure(tokens=(*kept, expired(old), new))
            await endpoint.settled()
            endpoint.reconfigure(tokens=(*kept, new))
            await endpoint.settled()
            assert (await http.post(endpoint.url, json=INITIALIZE)).status_code == 401
            asks = call("command_output", command_id=answer["result"]["structuredContent"]["command_id"])
            (still,) = lines_of(await later.post(endpoint.url, json=asks | {"id": "asks"}, headers=session))
            assert still["result"]["structuredContent"]["status"] == "running"
            assert not calling.ended
            assert not waiting.ended
            assert len(processes(foreground)) == 1

            endpoint.reconfigure(tokens=kept)
            await until(lambda: calling.ended and waiting.ended, "the streams to end", seconds=LIMIT)
            await until(lambda: not processes(foreground) + processes(background), "them to die", seconds=LIMIT)


async def test_what_was_begun_with_the_former_token_dies_with_the_permission_that_the_newer_lacks(
    endpoint: RunningEndpoint,
) -> None:
    kept = endpoint.config.tokens
    former, old = endpoint.keyring.grant(uid="rotated")
    _, new = endpoint.keyring.grant(Permission.VIEW, uid="rotated")
    endpoint.reconfigure(tokens=(*kept, old))
    await endpoint.settled()
    command, mark = sleeper()
    async with endpoint.http(former) as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with events(http, "POST", endpoint.url, session, message) as calling:
            await until(lambda: len(processes(mark)) == 1, "the command to run")
            endpoint.reconfigure(tokens=(*kept, new))
            await until(lambda: calling.ended and not processes(mark), "the command to die", seconds=LIMIT)
    assert endpoint.audit("call")[-1]["outcome"] == "permission_denied"
