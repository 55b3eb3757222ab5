"""What the demo needs of a running system."""

from typing import Protocol

from clarion.journey.catalog import Catalog
from clarion.journey.pipeline import Pipeline
from clarion.ports import Chance, Clock, Store


class Services(Protocol):
    """The parts by name; whoever has them fits."""

    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def store(self) -> Store: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def chance(self) -> Chance: ...
