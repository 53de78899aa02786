"""The engine every simulator runs on: named routes, faults, callbacks, the control room."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from rewards.infra.loopback import LOOPBACK, serving
from rewards.vendors.simulators.book import Book, Sale, SaleState
from rewards.vendors.simulators.faults import AFTER, BEFORE, HEADER, Fault, Script, Scripted

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Post = tuple[str, bytes, Mapping[str, str]]

# The call that buys; every other one only looks.
PLACE = "place"
# The log's word for it: what somebody wanted to buy, whether it is sold or not.
SALE_ASKED = "simulator_asked_to_sell"
BODY_BYTES_MAX = 4 * 1024 * 1024
HUGE_BYTES = 10 * 1024 * 1024
SLOW_S = 30.0
JSON = "application/json"
MAINTENANCE = "<html><body>Maintenance</body></html>"
CALLBACK_TIMEOUT_S = 5.0
# Whoever waits for callbacks of a sale waits at most an hour for them.
LOOK_S = 0.05
LOOKS_MAX = 72_000
FAULT: web.RequestKey[Fault] = web.RequestKey("fault", Fault)
CALL: web.RequestKey[str] = web.RequestKey("call", str)

log = structlog.get_logger()


class Simulator:
    """One vendor's server. A subclass lists its `routes()` and writes their handlers.

    A handler that sells is named PLACE in `routes()`; `key_name` is what this vendor calls the key
    in its body. It asks `self.fault(request, sku)` which fault of the sale strikes it.
    """

    slow_s = SLOW_S
    key_name = "key"

    def __init__(self, book: Book) -> None:
        self.book = book
        self.script = Script()
        self._working: set[asyncio.Task[None]] = set()
        self._held: list[Post] = []
        # What every call, or the one of a name, answers with instead: status and body.
        self.instead: dict[str, tuple[int, bytes]] = {}

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        """(method, path) to the call's name and its handler."""
        raise NotImplementedError

    def asked(self, body: bytes) -> Any:
        """What a request's body says, opened where it is sealed; None for nonsense."""
        return parse(body)

    def hear(self, key: str | None) -> None:
        """Somebody wants to buy under this key; None: it names none. Whatever comes of it.

        The log outlives the book, which dies with its process: who bought can be asked afterwards.
        """
        log.info(SALE_ASKED, key=key)

    def _key_of(self, body: bytes) -> str | None:
        asked = self.asked(body)
        key = asked.get(self.key_name) if isinstance(asked, dict) else None
        return key if isinstance(key, str) else None

    def throttled(self) -> web.Response:
        """What this vendor says when it is asked too often."""
        return web.json_response({"message": "too many requests"}, status=429)

    def denied(self, fault: Fault) -> web.Response:
        """TOKEN_KILLED and IP_DENIED, as this vendor says them."""
        status = 401 if fault is Fault.TOKEN_KILLED else 403
        return web.json_response({"message": "denied"}, status=status)

    def fault(self, request: web.Request, sku: str) -> Fault | None:
        """What goes wrong with this sale: scripted, asked by header, or the reserved product's."""
        struck = request.get(FAULT)
        product = self.book.products.get(sku)
        if struck is None and product is not None and product.fault is not None:
            struck = request[FAULT] = product.fault
        return struck

    def notify(
        self, url: str, body: bytes, headers: Mapping[str, str], fault: Fault | None = None
    ) -> None:
        """Call back, in the background; who does not answer is not asked again.

        DUPLICATE_CALLBACK sends it twice, REORDER_CALLBACKS keeps it until the next one is sent.
        """
        if fault is Fault.REORDER_CALLBACKS:
            self._held.append((url, body, headers))
            return
        first = [(url, body, headers)] * (2 if fault is Fault.DUPLICATE_CALLBACK else 1)
        posts, self._held = first + self._held, []
        self.background(_post_all(posts))

    def when_done(self, sale: Sale, tell: Callable[[Sale], None]) -> None:
        """`tell` of a sale, once the vendor's clock says it is done."""
        self.background(self._await(sale, tell))

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _await(self, sale: Sale, tell: Callable[[Sale], None]) -> None:
        for _ in range(LOOKS_MAX):
            if sale.state(self.book.clock.now()) is not SaleState.RUNNING:
                tell(sale)
                return
            await asyncio.sleep(LOOK_S)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        for (method, path), (call, handler) in self.routes().items():
            app.router.add_route(method, path, self._striking(call, handler))
        app.router.add_get("/_simulator/book", self._show_book)
        app.router.add_post("/_simulator/script", self._take_script)
        app.router.add_post("/_simulator/clock", self._move_clock)
        return app

    def _striking(self, call: str, handler: Handler) -> Handler:
        async def run(request: web.Request) -> web.StreamResponse:
            self.book.calls[call] += 1
            request[CALL] = call
            if call == PLACE:
                self.hear(self._key_of(await request.read()))
            asked = request.headers.get(HEADER)
            if asked and asked not in list(Fault):
                return web.json_response({HEADER: list(Fault)}, status=400)
            struck = Fault(asked) if asked else self.script.next(call)
            if struck is not None:
                request[FAULT] = struck
            early = self._before(request, struck)
            if early is not None:
                return early
            response = await handler(request)
            return await self._after(request, response)

        return run

    def _before(self, request: web.Request, fault: Fault | None) -> web.Response | None:
        if fault is Fault.THROTTLE:
            return self.throttled()
        if fault in (Fault.TOKEN_KILLED, Fault.IP_DENIED):
            return self.denied(fault)
        if fault not in BEFORE:
            return None
        if fault is Fault.DROP_BEFORE:
            _hang_up(request)
        return web.Response(status=503, text="try later")

    async def _after(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        fault = request.get(FAULT)
        instead = self.instead.get(request[CALL], self.instead.get("*"))
        if instead is not None:
            return web.Response(status=instead[0], body=instead[1], content_type=JSON)
        if fault not in AFTER:
            return response
        if fault is Fault.SLOW:
            await asyncio.sleep(self.slow_s)
            return response
        if fault is Fault.DROP_AFTER:
            _hang_up(request)
        spoiled = {
            Fault.HTML: web.Response(text=MAINTENANCE, content_type="text/html"),
            Fault.HUGE: web.Response(body=b" " * HUGE_BYTES, content_type=JSON),
            Fault.GARBAGE: web.Response(body=b'{"status": "succ', content_type=JSON),
            Fault.REDIRECT: web.Response(status=302, headers={"Location": "/elsewhere"}),
        }
        return spoiled.get(fault) or web.Response(status=500, text="internal error")

    async def _show_book(self, _request: web.Request) -> web.Response:
        return web.json_response(self.book.facts())

    async def _take_script(self, request: web.Request) -> web.Response:
        """`[{fault, call?, times?, skip?}]`; an empty list clears what waits."""
        try:
            asked = [_scripted(one) for one in await request.json()]
        except (ValueError, LookupError, TypeError, AttributeError) as problem:
            return _not_so(problem)
        if not asked:
            self.script.clear()
        self.script.add(asked)
        return web.json_response({"taken": len(asked)})

    async def _move_clock(self, request: web.Request) -> web.Response:
        """`{"advance_s": 60}`"""
        try:
            self.book.clock.advance(float((await request.json())["advance_s"]))
            return web.json_response({"now": self.book.clock.now().isoformat()})
        except (ValueError, LookupError, TypeError, OverflowError) as problem:
            return _not_so(problem)

    @asynccontextmanager
    async def serve(self, port: int = 0, host: str = LOOPBACK) -> AsyncIterator[str]:
        """Serve until left; gives the base URL."""
        async with serving(self.app(), host, port) as url:
            try:
                yield url
            finally:
                for task in list(self._working):
                    task.cancel()


def _scripted(asked: Mapping[str, Any]) -> Scripted:
    times, skip = int(asked.get("times", 1)), int(asked.get("skip", 0))
    return Scripted(Fault(asked["fault"]), asked.get("call"), times, skip)


def _not_so(problem: Exception) -> web.Response:
    return web.json_response({"problem": f"{type(problem).__name__}: {problem}"}, status=400)


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _post_all(posts: Sequence[Post]) -> None:
    """One after the other, so that their order is the order they arrive in."""
    timeout = aiohttp.ClientTimeout(total=CALLBACK_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for url, body, headers in posts:
            # Vendors do not tell twice either: who missed it reads back.
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.post(url, data=body, headers=headers, allow_redirects=False):
                    pass


def parse(body: bytes) -> Any:
    """A request body as JSON, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None
