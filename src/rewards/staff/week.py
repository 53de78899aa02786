"""What the overview adds up of the last days; one a process, for it remembers past hours."""

from dataclasses import dataclass, field

from rewards.orders.waiting import Days
from rewards.wallets.service import Flows


@dataclass(frozen=True, slots=True)
class Week:
    days: Days = field(default_factory=Days)
    flows: Flows = field(default_factory=Flows)
