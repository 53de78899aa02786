"""How far the claim link of an item is, and why it may not go further; pure."""

from enum import StrEnum

from rewards.core.errors import Conflict, NotFound


class LinkStatus(StrEnum):
    """Of an item that has its unit, in an order with claim links."""

    PENDING = "GV_LINK_PENDING"  # still to be made
    UNCLAIMED = "GV_LINK_UNCLAIMED"
    CLAIMED = "GV_LINK_CLAIMED"


class LinkGone(NotFound):
    """It was never made, is over, or was taken back; which of it nobody is told."""

    code = "LINK_GONE"
    default_message = "Link is not valid"


class NoLinks(Conflict):
    """Nothing of the order, or of what was named, has a link now."""

    code = "NO_CLAIM_LINKS"
    default_message = "Order has no claim links that could be sent or issued again"
