"""Routes that are built once, and then serve one process of a test after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide


@dataclass
class Shell:
    """Half a second to build, and nothing of anyone's: who moves in brings what handlers get.

    For one at a time. What a request asked for it has from its beginning, whoever comes next.
    """

    built: Litestar | None = None

    def over(
        self, build: Callable[[], Litestar], provided: Mapping[str, Provide], state: State
    ) -> Litestar:
        """What `build` made the first time, with these for its handlers."""
        if self.built is None:
            self.built = build()
        for name, given in provided.items():
            self.built.dependencies[name].dependency = given.dependency
        self.built.state = state
        return self.built
