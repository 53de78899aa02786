"""What must hold of alerts: one SELECT for each rule (docs/adr/0003)."""

from collections.abc import Mapping
from types import MappingProxyType

# Whoever tells it tries again within the hour; a day later it is given up.
TELLINGS_ARE_TAKEN_UP = """
SELECT t.id AS subject, t.alert_id, t.channel, t.next_at
FROM alert_tellings AS t JOIN alerts AS a ON a.id = t.alert_id
WHERE t.state = 'QUEUED' AND t.next_at < now() - interval '6 hours'
    AND coalesce(t.leased_until < now() - interval '6 hours', true)
"""

CHECKS: Mapping[str, str] = MappingProxyType({"alerts_are_told": TELLINGS_ARE_TAKEN_UP})
