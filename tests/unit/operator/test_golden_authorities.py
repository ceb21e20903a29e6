"""For each authority below golden/ and its record: the ConfigMap with the key revocation list, and the status."""

import base64
import json
from datetime import UTC, datetime

import pytest

from fairlead_operator.credentials.public_keys import wire
from fairlead_operator.reconcile.authority import (
    AuthorityObservation,
    PublicKeys,
    authority_findings,
    authority_status,
    publication,
)
from fairlead_operator.reconcile.ledger import Entry, Ledger
from fairlead_operator.reconcile.objects import read_authority
from tests.unit.operator.golden_files import Golden, cases, load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("case", cases("authority"))
def test_an_authority_becomes_what_the_golden_files_say(case: str, golden: Golden) -> None:
    authority, record = read_authority(load(case, "authority")), load(case, "record")
    assert authority.spec is not None, authority.invalid
    keys = {key["fingerprint"]: key["publicKey"] for name in ("active", "next") if (key := record.get(name))}
    ledger = Ledger()
    for entry in record["certificates"]:
        ledger = ledger.signed(Entry(**entry), keys[entry["authority"]])
    also_revoked = authority.spec.revoked_serials or ()
    published = publication(
        authority,
        ledger.pruned(NOW),
        NOW,
        current=keys.values(),
        former=record.get("former", ()),
        generated=authority.spec.secret is None,
        also_revoked=also_revoked,
    )
    assert Ledger.parse(published.ledger.render()) == published.ledger
    manifest = published.manifest
    assert wire(keys["SHA256:active"]) in base64.b64decode(manifest["binaryData"]["krl"])
    manifest["data"] = {name: json.loads(text) for name, text in manifest["data"].items()}
    golden.check(case, "configmap", manifest)
    seen = AuthorityObservation(
        now=NOW,
        keys=PublicKeys(*keys.items()),
        in_force=published.ledger.in_force(NOW, also_revoked),
        revoked=published.revoked,
        waiting=tuple(record.get("waiting", ())),
    )
    golden.check(case, "status", authority_status(authority, seen, authority_findings(authority, seen)))
