"""A breach for each check of claim links."""

from tests.entry.books import DELIVERED_ID, PARTIAL_ID, TALLY
from tests.entry.planting import Plant

PATH = ",".join(
    (
        *("PLACED·INITIAL", "PENDING·INVENTORY_FULFILLED", "PENDING·GV_LINK_PENDING"),
        "DELIVERED·GV_LINK_UNCLAIMED",
    )
)
LINK = """
INSERT INTO claim_links
    (id, order_id, position, digest, sealed, claim_before, created_at, ended_at)
VALUES ({0}, {1}, {2}, sha256('{0}'), 'x', '2027-01-01', '2026-11-21', {3});
"""
# An order whose two items went out by links, which nobody opened yet.
LINKED = f"""
UPDATE orders SET link_type = 'PUBLIC', sub_status = 'GV_LINK_UNCLAIMED' WHERE id = {DELIVERED_ID};
UPDATE order_items SET link_status = 'GV_LINK_UNCLAIMED' WHERE order_id = {DELIVERED_ID};
UPDATE order_transitions SET path = '{{{PATH}}}' WHERE order_id = {DELIVERED_ID};
UPDATE audit_entries SET facts = facts || '{{"to": "DELIVERED·GV_LINK_UNCLAIMED"}}'
    WHERE subject_id = {DELIVERED_ID};
DELETE FROM order_tallies; {TALLY};
""" + "".join(LINK.format(position, DELIVERED_ID, position, "NULL") for position in (1, 2))
CLAIM_ITEM = f"""
UPDATE order_items SET link_status = 'GV_LINK_CLAIMED'
WHERE order_id = {DELIVERED_ID} AND position <= {{}};
"""
USE_LINK = "UPDATE claim_links SET claimed_at = '{}' WHERE id <= {};"

PLANTS_CLAIMS = {
    "i10_linked_item_has_one_live_link": Plant(
        LINKED + "DELETE FROM claim_links WHERE id = 2", DELIVERED_ID
    ),
    "i10_claimed_item_has_a_claimed_link": Plant(LINKED + CLAIM_ITEM.format(1), DELIVERED_ID),
    "i10_item_says_how_far_its_link_is": Plant(
        f"UPDATE orders SET link_type = 'PUBLIC' WHERE id = {PARTIAL_ID}", PARTIAL_ID
    ),
    "i11_link_was_used_in_time": Plant(
        LINKED + CLAIM_ITEM.format(1) + USE_LINK.format("2027-02-01", 1), 1
    ),
    "i11_lapsed_link_leads_nowhere": Plant(
        LINKED + LINK.format(3, DELIVERED_ID, 1, "'2027-02-01'"), DELIVERED_ID
    ),
    "i16_order_fits_its_links": Plant(
        LINKED + CLAIM_ITEM.format(2) + USE_LINK.format("2026-12-01", 2), DELIVERED_ID
    ),
    "orphan_claim_link": Plant(LINK.format(7, 99, 1, "NULL"), 7),
}
