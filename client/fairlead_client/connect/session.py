"""A session of the handshake protocols, and what it takes to begin another one just like it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fairlead_client.connect.headers import PROTOCOL_VERSION
from fairlead_client.connect.messages import Id, Json, Message, notification, write

SESSION_ID = "Mcp-Session-Id"
INITIALIZED = "notifications/initialized"
_LISTS = ("tools", "prompts", "resources")
_STATE = {"logging/setLevel": None, "resources/subscribe": "uri", "resources/unsubscribe": "uri"}


@dataclass
class Session:
    """What was agreed upon with the endpoint."""

    hello: Message
    """The client's `initialize`."""
    id: str | None = None
    version: str = ""
    capabilities: Json = field(default_factory=dict)
    """The server's."""
    initialized: bool = False
    """Whether the client has said so."""
    state: dict[tuple[str, str], Message] = field(default_factory=dict)
    """The requests that changed what the server keeps for the session: the log level, subscriptions."""
    asked: set[Id] = field(default_factory=set)
    """The server's requests that the client has not answered yet."""

    @property
    def headers(self) -> dict[str, str]:
        """Of every request within the session."""
        named = {} if self.id is None else {SESSION_ID: self.id}
        return named | ({PROTOCOL_VERSION: self.version} if self.version else {})

    def agree(self, answer: Message) -> bool:
        """Take note of the answer to `initialize`; False where that is an error."""
        version = answer.result.get("protocolVersion")
        if not isinstance(version, str):
            return False
        capabilities = answer.result.get("capabilities")
        self.version, self.capabilities = version, capabilities if isinstance(capabilities, dict) else {}
        return True

    def remember(self, request: Message) -> None:
        """Take note of a request that succeeded, where it changed what the server keeps."""
        if request.method not in _STATE:
            return
        key = str(request.params.get(_STATE[request.method] or "", ""))
        if request.method == "resources/unsubscribe":
            self.state.pop(("resources/subscribe", key), None)
        else:
            self.state[request.method, key] = request

    def expects(self, message: Message) -> bool:
        """Whether it can be sent within the session: an answer only to what this session has asked, once."""
        expected = self.asked.issuperset(message.answers)
        self.asked.difference_update(message.answers)
        return expected

    def successor(self) -> "Session":
        """One that is to be begun in its place."""
        return Session(self.hello, initialized=self.initialized, state=dict(self.state))

    def repetitions(self) -> Iterator[Message]:
        """The requests that give a new session the state of this one, under ids of the bridge's own."""
        for number, request in enumerate(self.state.values()):
            yield write({**request.parts[0], "id": f"fairlead-connect-{number}"})

    def news(self) -> Iterator[Message]:
        """What the client has to hear when another session has taken this one's place: ask for the lists again."""
        for name in _LISTS:
            if name in self.capabilities:
                yield notification(f"notifications/{name}/list_changed")

    def farewells(self) -> Iterator[Message]:
        """What the client has to hear of the questions of a server that is gone."""
        for identifier in self.asked:
            yield notification("notifications/cancelled", {"requestId": identifier, "reason": "the endpoint is gone"})
