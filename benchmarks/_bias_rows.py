"""Rows of a table: name, what is expected, what was measured, whether it is so."""

TOLERANCE = 0.02


class Rows:
    """Rows `(name, expected, measured, ok)`, as text; `ok` is whether all of them are."""

    def __init__(self):
        self.rows = []

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row[3] for row in self.rows)

    def close(self, name, expected, measured, within=TOLERANCE):
        """Two numbers that agree to a relative tolerance."""
        good = abs(float(measured) - expected) <= within * abs(expected)
        self.rows.append((name, f"{expected:.4g}", float(measured), good))

    def below(self, name, limit, measured):
        self.rows.append((name, f"< {limit:.3g}", float(measured), float(measured) < limit))

    def above(self, name, limit, measured):
        self.rows.append((name, f"> {limit:.3g}", float(measured), float(measured) > limit))

    def true(self, name, expected, measured):
        """Two words."""
        self.rows.append((name, str(expected), str(measured), expected == measured))

    def __iter__(self):
        return iter(self.rows)

    def text(self, title) -> str:
        lines = [title]
        for name, expected, measured, good in self.rows:
            value = measured if isinstance(measured, str) else f"{measured:.4g}"
            lines.append(f"  {name:66}{expected:>11}{value:>12}  {'ok' if good else 'NOT OK'}")
        return "\n".join(lines)
