"""What a person sees who opens the endpoint's URL in a browser: what this is, and how to use it."""

import base64
import hashlib
import html
from urllib.parse import urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1c2733;background:#fff}
pre{background:#f2f4f7;padding:.7rem;overflow:auto;border-radius:4px}
@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#14191f}pre{background:#222a33}}
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}
_TEXT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>MCP endpoint</title>
<style>{style}</style>
</head>
<body>
<h1>This is an MCP endpoint</h1>
<p>AI agents work on a host through this URL, with the
<a href="https://modelcontextprotocol.io">Model Context Protocol</a>. There is nothing to see for browsers.</p>
<p>Add it to a client, with a token from whoever runs this host:</p>
<h2>Claude Code</h2>
<pre>claude mcp add --transport http NAME {url} --header "Authorization: Bearer $TOKEN"</pre>
<h2>Codex</h2>
<pre>codex mcp add NAME --url {url} --bearer-token-env-var TOKEN</pre>
<h2>Gemini CLI</h2>
<pre>gemini mcp add --transport http NAME {url} -H "Authorization: Bearer $TOKEN"</pre>
<h2>Others</h2>
<pre>{{"mcpServers": {{"NAME": {{
  "type": "http", "url": "{url}",
  "headers": {{"Authorization": "Bearer $TOKEN"}}
}}}}}}</pre>
<p>Keep the token secret: who has it can do on the host whatever it permits.</p>
</body>
</html>
"""


def wanted(request: Request) -> bool:
    """Whether a browser asks, and no MCP client."""
    accepted = request.headers.get("accept", "").lower()
    return request.method in ("GET", "HEAD") and "text/html" in accepted and "text/event-stream" not in accepted


def page(request: Request, headers: dict[str, str]) -> HTMLResponse:
    """The page, as the body of a 401: who has no token is not let in, browser or not.

    It tells nothing but the URL that was asked for.
    """
    claimed = request.headers.get("x-forwarded-proto", "")
    scheme = claimed if claimed in ("http", "https") else request.url.scheme
    url = urlunsplit((scheme, request.headers.get("host", ""), request.scope["path"], "", ""))
    return HTMLResponse(
        _TEXT.format(style=_STYLE, url=html.escape(url)), status_code=401, headers={**headers, **_HEADERS}
    )
