"""kopf's events, fed into the work queue; nothing is decided here."""
