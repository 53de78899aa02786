"""What staff handlers are given by name; `entry/api.py` provides it."""

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.catalog.service import Catalog
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.staff.auth import StaffGate
from rewards.staff.imports import Imports

GivenCatalog: TypeAlias = NamedDependency[SkipValidation[Catalog]]
GivenClock: TypeAlias = NamedDependency[SkipValidation[Clock]]
GivenDatabase: TypeAlias = NamedDependency[SkipValidation[Database]]
GivenGate: TypeAlias = NamedDependency[SkipValidation[StaffGate]]
GivenImports: TypeAlias = NamedDependency[SkipValidation[Imports]]
GivenPasswords: TypeAlias = NamedDependency[SkipValidation[Passwords]]
GivenSettings: TypeAlias = NamedDependency[SkipValidation[Settings]]
GivenVault: TypeAlias = NamedDependency[SkipValidation[Vault]]
