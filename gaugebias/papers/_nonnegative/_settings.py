"""What is run: our own protocol."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    """Defaults are our own protocol.

    - `rows`, `columns`: of the tables whose factorisations are known, all of three components.
    - `tables`: how many of each kind.
    - `starts`: random starts of each solver on each table.
    - `row_total`: of the tables with noise, whose rows are multinomial draws.
    - `round_trips`: random factorisations sent through every pair of models.
    - `effort`: of the search for other solutions, see `gaugebias.factor.movement`.
    - `table`: a CSV file with the time-budget table (30 groups by 18 activities), or "" to leave
      it out; `table_starts`: starts on it.
    """

    rows: int = 20
    columns: int = 10
    tables: int = 12
    starts: int = 24
    row_total: int = 2_000
    round_trips: int = 400
    effort: int = 20
    table: str = ""
    table_starts: int = 24

    def __post_init__(self) -> None:
        for name, least in (
            ("tables", 2),
            ("starts", 4),
            ("table_starts", 4),
            ("row_total", 100),
            ("round_trips", 1),
            ("effort", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` is {getattr(self, name)}: give at least {least}.")
        if self.rows < 8 or self.columns < 8:
            raise ValueError(
                f"`rows` and `columns` are {self.rows} and {self.columns}: give at least 8 of "
                "each, for a hexagon of points and more."
            )


def quick() -> Settings:
    """Fewer tables and starts."""
    return Settings(tables=4, starts=10, round_trips=100, effort=10, table_starts=10)
