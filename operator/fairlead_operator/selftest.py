"""`python -m fairlead_operator.selftest URL`: what `helm test` runs, with the operator's own account and settings.

It asks the API server whether the CRDs are served and each permission is granted, and the operator at URL (its
`/readyz`) whether it is ready. One line is printed for each; the exit code is 0 when all is well.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator

import aiohttp

from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.permissions import OWN_NAMESPACE, WATCHED_NAMESPACES, Rule
from fairlead_operator.cluster.resources import ACCESS_REVIEWS, MCP_TOKENS, REMOTE_HOSTS
from fairlead_operator.observe.http import open_session, timeout
from fairlead_operator.settings import Settings, SettingsError

READY_WITHIN = 60.0
"""Seconds that the operator gets to become ready, should it have started just now."""

Result = tuple[bool, str]
"""Whether a check passed, and its line of the report."""


def main(arguments: list[str]) -> int:
    """Run all checks. Returns the exit code: 0 all passed, 1 one failed, 2 wrong usage or settings."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m fairlead_operator.selftest URL\n")
        return 2
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"FAILED  {error}\n")
        return 2
    return 0 if asyncio.run(_report(settings, arguments[0])) else 1


async def _report(settings: Settings, url: str) -> bool:
    passed = True
    async for good, line in _checks(settings, url):
        passed = passed and good
        sys.stdout.write(f"{'ok      ' if good else 'FAILED  '}{line}\n")
        sys.stdout.flush()
    return passed


async def _checks(settings: Settings, url: str) -> AsyncIterator[Result]:
    api = await Api.connect()
    try:
        for namespace in settings.watch_namespaces or (None,):
            for resource in (REMOTE_HOSTS, MCP_TOKENS):
                yield await _served(api, resource.path(namespace))
            yield await _granted(api, WATCHED_NAMESPACES, namespace)
        yield await _granted(api, OWN_NAMESPACE, settings.namespace)
    finally:
        await api.close()
    async with open_session() as session:
        yield await _ready(session, url)


async def _served(api: Api, path: str) -> Result:
    try:
        await api.request("GET", path, query={"limit": "1"})
    except ApiError as error:
        return False, f"{path} can't be listed: {error.message}. Are the CRDs installed (crds.enabled)?"
    return True, f"{path} is served"


async def _granted(api: Api, rules: tuple[Rule, ...], namespace: str | None) -> Result:
    where = f"namespace {namespace}" if namespace else "all namespaces"
    try:
        denied = [
            f"{verb} {rule.resource}"
            for rule in rules
            for verb in rule.verbs
            if not await _allowed(api, rule, verb, namespace)
        ]
    except ApiError as error:
        return False, f"permissions in {where} can't be asked for: {error.message}"
    if denied:
        return False, f"permissions missing in {where}: {', '.join(denied)}"
    return True, f"all permissions are granted in {where}"


async def _allowed(api: Api, rule: Rule, verb: str, namespace: str | None) -> bool:
    resource, _, subresource = rule.resource.partition("/")
    attributes = {
        "group": rule.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace or "",
        "name": rule.names[0] if rule.names else "",
    }
    review = {
        "apiVersion": ACCESS_REVIEWS.api_version,
        "kind": ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.request("POST", ACCESS_REVIEWS.path(), body=review)
    return bool(answer["status"]["allowed"])


async def _ready(session: aiohttp.ClientSession, url: str) -> Result:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            async with session.get(url, timeout=timeout(5.0)) as response:
                text = (await response.text()).strip()
                if response.ok:
                    return True, f"the operator is ready: {url}"
        except (aiohttp.ClientError, TimeoutError) as error:
            text = str(error) or type(error).__name__
        if time.monotonic() > deadline:
            return False, f"the operator isn't ready: {url}: {text}"
        await asyncio.sleep(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
