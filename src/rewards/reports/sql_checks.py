"""What must hold between a report and the chunks of its file."""

from collections.abc import Mapping
from types import MappingProxyType

FILE_IS_WHOLE = """
SELECT r.id AS subject, r.chunks, count(c.number) AS kept, r.position, r.upto
FROM reports AS r LEFT JOIN report_chunks AS c ON c.report_id = r.id
WHERE r.state = 'DONE'
GROUP BY r.id
HAVING r.chunks <> count(c.number) OR r.chunks <> coalesce(max(c.number), 0)
    OR r.position IS DISTINCT FROM r.upto
"""
FILE_IS_OF_A_REPORT = """
SELECT DISTINCT r.id AS subject, r.state
FROM reports AS r JOIN report_chunks AS c ON c.report_id = r.id
WHERE r.state IN ('CANCELLED', 'FAILED', 'EXPIRED')
"""
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "report_file_is_whole": FILE_IS_WHOLE,
        "report_without_a_file_keeps_no_chunk": FILE_IS_OF_A_REPORT,
    }
)
