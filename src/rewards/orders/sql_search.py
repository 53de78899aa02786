"""The statements by which staff search the orders of all clients: each looks at so many at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from rewards.infra.db import Tx
from rewards.orders.model import OPEN_STATUSES, Order, Status
from rewards.orders.model_search import OrderSearch, Sort, Way
from rewards.orders.sql_read import ORDER_COLUMNS, as_order

# What one statement looks at. Whoever searches for something rarer than that goes on from there.
EXAMINED_MAX = 20_000
# Less where each lies on a page of its own, and of a product, where each client's are sorted first.
SCATTERED_MAX = 5_000
OF_PRODUCT_MAX = 2_000
# Orders that are placed at once may get ids in another order, on clocks that differ a little.
SKEW = timedelta(minutes=1)
TIMES = {"placed_from", "placed_to", "waits_since"}

# Whoever ever bought, each found by one look into an index. Clients are few and orders are many:
# what is indexed for one client is found for all by asking each. An index for references alone, or
# for products, would cost every order that is placed.
BUYERS = """
WITH RECURSIVE buyers (client_id) AS (
    (SELECT client_id FROM orders ORDER BY client_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.client_id FROM orders AS o WHERE o.client_id > b.client_id
            ORDER BY o.client_id LIMIT 1)
    FROM buyers AS b WHERE b.client_id IS NOT NULL
)
"""
FIND_REF = f"""
{BUYERS}
SELECT found.id FROM buyers AS b
CROSS JOIN LATERAL (
    SELECT o.id FROM orders AS o WHERE o.client_id = b.client_id AND o.ref = $1 LIMIT 1
) AS found
"""
FIND_CLIENTS_REF = "SELECT id FROM orders WHERE client_id = $2 AND ref = $1"

# By the index that each client has for its products; the orders themselves are not looked at.
OF_PRODUCT = """o.id = ANY(ARRAY(
    {buyers}
    SELECT found.id FROM buyers AS b
    CROSS JOIN LATERAL (
        SELECT o.placed_at, o.id FROM orders AS o WHERE o.client_id = b.client_id AND {where}
        ORDER BY {order} LIMIT {limit}
    ) AS found
    ORDER BY {found_order} LIMIT {limit}
))"""

# Ids and times of placing rise together: halved again and again, a time's place is found.
FIRST_SINCE_HALVES = """
WITH RECURSIVE halves (low, high) AS (
    SELECT min(id), max(id) + 1 FROM orders
    UNION ALL
    SELECT CASE WHEN m.placed_at < {at} THEN m.id + 1 ELSE h.low END,
        CASE WHEN m.placed_at < {at} THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halves AS h CROSS JOIN LATERAL (
        SELECT o.id, o.placed_at FROM orders AS o WHERE o.id >= (h.low + h.high) / 2
        ORDER BY o.id LIMIT 1
    ) AS m
    WHERE h.low < h.high
)
SELECT low FROM halves WHERE low >= high
"""
FIRST_SINCE = FIRST_SINCE_HALVES.format(at="$1")


async def find_ref(tx: Tx, ref: str, client_id: int | None) -> list[int]:
    """Orders with this reference, of one client or of all."""
    if client_id is None:
        rows = await tx.fetch(FIND_REF, ref)
    else:
        rows = await tx.fetch(FIND_CLIENTS_REF, ref, client_id)
    return [row["id"] for row in rows]


async def first_since(tx: Tx, at: datetime) -> int | None:
    """The id before which no order was placed at that time or later; None without orders."""
    found: int | None = await tx.fetchval(FIRST_SINCE, at)
    return found


class Condition(NamedTuple):
    """What must hold of an order, with a place for each of its values."""

    text: str
    values: tuple[object, ...] = ()


@dataclass(slots=True)
class Query:
    """A page of a search as it is asked: the rows to look at, in order, what must hold of each.

    `arms`: of a union, conditions that an index answers; `bounds` hold in each of them. `rest` is
    looked at row by row; its values come last, so that a statement may do without them.
    """

    sort: Sort
    by_time: bool
    limit: int
    rest: list[Condition]
    values: list[object] = field(default_factory=list)
    arms: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    examined_max: int = EXAMINED_MAX

    def put(self, condition: Condition) -> str:
        """The condition with the places of its values."""
        places = []
        for value in condition.values:
            self.values.append(value)
            places.append(f"${len(self.values)}")
        return condition.text.format(*places)

    def begin_after(self, seen: tuple[datetime, int]) -> None:
        """Leave out this order (when it was placed, its id) and what comes before it."""
        sign = "<" if self.sort is Sort.NEWEST else ">"
        after = Condition(f"o.id {sign} {{}}", (seen[1],))
        if self.by_time:
            after = Condition(f"(o.placed_at, o.id) {sign} ({{}}, {{}})", seen)
        self.bounds.append(self.put(after))

    def order(self, of: str = "o") -> str:
        way = "DESC" if self.sort is Sort.NEWEST else "ASC"
        return f"{of}.placed_at {way}, {of}.id {way}" if self.by_time else f"{of}.id {way}"

    def of_product(self, product: str) -> None:
        """Look at the orders of one product, each client's by its own index."""
        self.examined_max = OF_PRODUCT_MAX
        self.arms.append(
            OF_PRODUCT.format(
                buyers=BUYERS,
                where=" AND ".join([product, *self.bounds]),
                order=self.order(),
                found_order=self.order("found"),
                limit=self.examined_max if self.rest else self.limit,
            )
        )

    @property
    def examined(self) -> str:
        """The rows to look at. A union's arms are read in turn, each in the order of its index."""
        most = self.examined_max if self.rest else self.limit
        wheres = [" AND ".join([arm, *self.bounds]) for arm in self.arms]
        # Each arm says its order and its end, or the planner reads all of them and sorts.
        arms = [
            f"(SELECT {ORDER_COLUMNS} FROM orders AS o WHERE {where}"
            f" ORDER BY {self.order()} LIMIT {most})"
            for where in wheres
        ]
        every = " UNION ALL ".join(arms)
        return f"SELECT {ORDER_COLUMNS} FROM ({every}) AS o ORDER BY {self.order()} LIMIT {most}"

    @property
    def page(self) -> tuple[str, list[object]]:
        """The statement for the first `limit` that hold, among the first `examined_max`."""
        if not self.rest:
            return self.examined, self.values
        whole = replace(self, values=list(self.values))
        holds = " AND ".join(map(whole.put, self.rest))
        return (
            f"SELECT {ORDER_COLUMNS} FROM ({self.examined}) AS o"
            f" WHERE {holds} ORDER BY {self.order()} LIMIT {self.limit}"
        ), whole.values

    @property
    def last_examined(self) -> str:
        return (
            f"SELECT o.placed_at, o.id FROM ({self.examined}) AS o"
            f" ORDER BY {self.order()} OFFSET {self.examined_max - 1} LIMIT 1"
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a search: at most `limit`, behind `after` (when it was placed, its id).

    `ids`: of a search that names its orders. `between`: from the first of these ids to before the
    second is when they were placed, roughly.
    """

    limit: int
    after: tuple[datetime, int] | None = None
    ids: Sequence[int] = ()
    between: tuple[int | None, int | None] = (None, None)


def compose(search: OrderSearch, page: Page) -> Query:
    """The query of a page."""
    asked = _conditions(search)
    by_time = search.way in (Way.CLIENT, Way.PRODUCT)
    used = _answered(search) | (TIMES if by_time else set())
    rest = [condition for name, condition in asked.items() if name not in used]
    query = Query(search.sort, by_time, page.limit, rest)
    if by_time:
        query.bounds += [query.put(asked[name]) for name in sorted(TIMES & asked.keys())]
    for sign, order_id in zip((">=", "<"), page.between, strict=True):
        if order_id is not None:
            query.bounds.append(query.put(Condition(f"o.id {sign} {{}}", (order_id,))))
    if page.after is not None:
        query.begin_after(page.after)
    _look_at(query, search, asked, page.ids)
    return query


def _look_at(
    query: Query, search: OrderSearch, asked: Mapping[str, Condition], ids: Sequence[int]
) -> None:
    """Say which rows to look at, as the index has them."""
    match search.way:
        case Way.NAMED:
            query.arms.append(query.put(Condition("o.id = ANY({}::bigint[])", (list(ids),))))
        case Way.EMAIL:
            # As the index says it: others have no entry there.
            query.arms.append("o.email IS NOT NULL AND " + query.put(asked["address"]))
        case Way.PRODUCT:
            query.of_product(query.put(asked["product_id"]))
        case Way.CLIENT | Way.STATE:
            query.examined_max = SCATTERED_MAX
            names = sorted({"client_id", "product_id"} & _answered(search) & asked.keys())
            fixed = [query.put(asked[name]) for name in names]
            query.arms += [" AND ".join([*fixed, *state]) for state in _states(search)]
        case Way.TIME:
            query.arms.append("true")


def _answered(search: OrderSearch) -> set[str]:
    """The conditions that the index of this way answers by itself."""
    match search.way:
        case Way.EMAIL:
            return {"address"}
        case Way.STATE:
            return {"status", "sub_status", "waits"}
        case Way.PRODUCT:
            return {"product_id"}
        case Way.CLIENT:
            by_state = _states(search) != [[]]
            return {"client_id"} | ({"status", "waits"} if by_state else {"product_id"})
        case Way.NAMED | Way.TIME:
            return set()


def _states(search: OrderSearch) -> list[list[str]]:
    """Conditions for each part of a partial index that has the states asked for; one of none else.

    They are spelled out, so that the index fits.
    """
    states = search.states or ()
    if search.way is Way.STATE:
        return [[f"o.status = '{s.status}'", f"o.sub_status = '{s.sub_status}'"] for s in states]
    statuses = sorted({state.status for state in states})
    if not statuses or Status.DELIVERED in statuses:
        return [[]]
    return [[f"o.status = '{status}'"] for status in statuses]


def _conditions(search: OrderSearch) -> dict[str, Condition]:
    """All that must hold, by name. Members of enumerations are ours, and spelled out."""
    given = {
        "order_id": ("o.id = {}", search.order_id),
        "ref": ("o.ref = {}", search.ref),
        "client_id": ("o.client_id = {}", search.client_id),
        "product_id": ("o.product_id = {}", search.product_id),
        "currency": ("o.currency = {}", search.currency),
        "amount_min": ("o.amount_minor >= {}", search.amount_min_minor),
        "amount_max": ("o.amount_minor <= {}", search.amount_max_minor),
        "address": ("lower(o.email) = lower({})", search.address),
        "placed_from": ("o.placed_at >= {}", search.placed_from),
        "placed_to": ("o.placed_at < {}", search.placed_to),
        "waits_since": ("o.placed_at < {}", search.waits_since),
    }
    asked = {
        name: Condition(text, (value,))
        for name, (text, value) in given.items()
        if value is not None
    }
    if search.word is not None and "@" not in search.word:
        asked["word"] = Condition(
            "(o.ref = {} OR o.id = {}::bigint)", (search.word, search.word_id)
        )
    elif search.word is not None and search.word != search.address:
        asked["word"] = Condition("lower(o.email) = lower({})", (search.word,))
    if search.status is not None:
        asked["status"] = Condition(f"o.status = '{search.status}'")
    if search.sub_status is not None:
        asked["sub_status"] = Condition(f"o.sub_status = '{search.sub_status}'")
    if search.waits_since is not None:
        listed = ", ".join(f"'{status}'" for status in sorted(OPEN_STATUSES))
        asked["waits"] = Condition(f"o.status IN ({listed})")
    return asked


async def fetch(tx: Tx, query: Query) -> list[Order]:
    """The orders of the page."""
    statement, values = query.page
    return [as_order(row) for row in await tx.fetch(statement, *values)]


async def last_examined(tx: Tx, query: Query) -> tuple[datetime, int] | None:
    """Where a look ended that found no full page; None where it had seen all there is."""
    row = await tx.fetchrow(query.last_examined, *query.values) if query.rest else None
    return None if row is None else (row["placed_at"], row["id"])
