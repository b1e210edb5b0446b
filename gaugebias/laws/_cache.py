"""Where a law keeps what it has computed."""


class TableCache:
    """Quadrature tables of one law, by the values it had when they were made.

    Equal to every other cache, so that it does not count where laws are compared or traced.
    """

    def __init__(self):
        self.tables: dict = {}

    def __eq__(self, other):
        return isinstance(other, TableCache)

    def __hash__(self):
        return 0
