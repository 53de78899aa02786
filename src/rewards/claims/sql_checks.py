"""What must hold between claim links and the items they lead to: one SELECT for each rule.

As in orders/sql_checks.py the hot tables carry no foreign keys (docs/adr/0003); nothing here may
write, and each statement returns the rows that break its rule.
"""

from collections.abc import Mapping
from types import MappingProxyType

LINKED_ITEM_HAS_ONE_LIVE_LINK = """
SELECT i.order_id AS subject, i.position, i.link_status, count(l.id) AS live_links
FROM order_items AS i
LEFT JOIN claim_links AS l ON l.order_id = i.order_id AND l.position = i.position
    AND l.ended_at IS NULL
WHERE i.status = 'DELIVERED' AND i.link_status IS NOT NULL
GROUP BY i.order_id, i.position
HAVING count(l.id) <> CASE WHEN i.link_status = 'GV_LINK_PENDING' THEN 0 ELSE 1 END
"""

CLAIMED_ITEM_HAS_A_CLAIMED_LINK = """
SELECT i.order_id AS subject, i.position, i.link_status, l.claimed_at
FROM order_items AS i
JOIN claim_links AS l ON l.order_id = i.order_id AND l.position = i.position
    AND l.ended_at IS NULL
WHERE (i.link_status = 'GV_LINK_CLAIMED') <> (l.claimed_at IS NOT NULL)
"""

LINK_WAS_USED_IN_TIME = """
SELECT id AS subject, claim_before, claimed_at FROM claim_links WHERE claimed_at >= claim_before
"""

# Taken back without a claim is what happens to a link that was not used in time.
LAPSED_LINK_LEADS_NOWHERE = """
SELECT l.order_id AS subject, l.position, i.status
FROM claim_links AS l
JOIN order_items AS i ON i.order_id = l.order_id AND i.position = l.position
WHERE l.ended_at >= l.claim_before AND l.claimed_at IS NULL AND i.status <> 'REVOKED'
    AND NOT EXISTS (
        SELECT FROM claim_links AS later
        WHERE later.order_id = l.order_id AND later.position = l.position AND later.id > l.id
    )
"""

ITEM_SAYS_HOW_FAR_ITS_LINK_IS = """
SELECT i.order_id AS subject, i.position, o.link_type, i.unit_id, i.link_status
FROM order_items AS i
JOIN orders AS o ON o.id = i.order_id
WHERE (i.link_status IS NOT NULL) <> (o.link_type IS NOT NULL AND i.unit_id IS NOT NULL)
"""

ORDER_FITS_ITS_LINKS = """
SELECT o.id AS subject, o.sub_status, o.link_type,
    count(*) FILTER (WHERE i.link_status = 'GV_LINK_PENDING') AS pending,
    count(*) FILTER (WHERE i.link_status = 'GV_LINK_UNCLAIMED') AS unclaimed
FROM orders AS o
LEFT JOIN order_items AS i ON i.order_id = o.id AND i.status = 'DELIVERED'
WHERE o.status = 'DELIVERED' OR o.sub_status = 'GV_LINK_PENDING'
GROUP BY o.id
HAVING (o.link_type IS NOT NULL) <> (o.sub_status LIKE 'GV_LINK_%')
    OR (count(*) FILTER (WHERE i.link_status = 'GV_LINK_PENDING') > 0)
        <> (o.sub_status = 'GV_LINK_PENDING')
    OR (o.sub_status = 'GV_LINK_UNCLAIMED'
        AND count(*) FILTER (WHERE i.link_status = 'GV_LINK_UNCLAIMED') = 0)
    OR (o.sub_status = 'GV_LINK_CLAIMED'
        AND count(*) FILTER (WHERE i.link_status <> 'GV_LINK_CLAIMED') > 0)
"""

LINK_HAS_ITS_ITEM = """
SELECT l.id AS subject, l.order_id, l.position
FROM claim_links AS l
LEFT JOIN order_items AS i ON i.order_id = l.order_id AND i.position = l.position
WHERE i.link_status IS NULL
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i10_linked_item_has_one_live_link": LINKED_ITEM_HAS_ONE_LIVE_LINK,
        "i10_claimed_item_has_a_claimed_link": CLAIMED_ITEM_HAS_A_CLAIMED_LINK,
        "i10_item_says_how_far_its_link_is": ITEM_SAYS_HOW_FAR_ITS_LINK_IS,
        "i11_link_was_used_in_time": LINK_WAS_USED_IN_TIME,
        "i11_lapsed_link_leads_nowhere": LAPSED_LINK_LEADS_NOWHERE,
        "i16_order_fits_its_links": ORDER_FITS_ITS_LINKS,
        "orphan_claim_link": LINK_HAS_ITS_ITEM,
    }
)
