"""What keeps `fairlead connect` from doing what it is for."""


class ConnectError(Exception):
    """It can't begin, or can't go on; the message says why and what to do."""
