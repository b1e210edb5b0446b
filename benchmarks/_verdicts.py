"""Rows of verdicts: laws that must hold, and rivals that must be rejected."""

import gaugebias as gb


class Verdicts:
    """A table of comparisons; `passed` is whether every law came out as it should.

    A right law agrees where `p >= 1e-3` (Bonferroni over the tests of its row), so a table with k
    right rows fails by chance with probability at most k/1000; a rival is rejected where
    `p < 1e-6`.
    """

    def __init__(self, title):
        self.title, self.rows, self.passed = title, [], True

    def compare(self, what, draws, right, rivals=()):
        """Rows of one set of draws against `(name, law)` pairs."""
        pairs = [*right, *rivals]
        verdict = gb.compare(draws, [law for _, law in pairs], [name for name, _ in pairs])
        for i, row in enumerate(verdict.rows):
            expected = "consistent" if i < len(right) else "rejected"
            good = row.verdict == expected
            self.passed &= good
            self.rows.append((what, row, "" if good else f"  NOT {expected}"))

    def note(self, text, good=True):
        """A line of text, and whether it says what it should."""
        self.passed &= bool(good)
        self.rows.append((text + ("" if good else "  NOT as predicted"), None, ""))

    def text(self):
        lines = [f"\n{self.title}", f"{'':34}{'law':34}{'draws':>7}{'KS':>9}{'p':>10}"]
        for what, row, remark in self.rows:
            if row is None:
                lines.append(what)
                continue
            lines.append(
                f"{what:34}{row.law:34}{row.draws:7}{row.statistic:9.4f}{row.p_value:10.1e}  "
                f"{row.verdict}{remark}"
            )
        return "\n".join(lines)


def command(doc, folder, experiment, argv):
    """Run `experiment(figure_path) -> Verdicts` as a command; 0 where all came out as it should."""
    import argparse
    import time
    from pathlib import Path

    import jax

    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(folder))
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    import matplotlib

    matplotlib.use("Agg")
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    figure = options.out / f"{folder}.png"
    table = experiment(figure)
    print(table.text())
    print(f"{figure}, {time.perf_counter() - begin:.0f} s")
    print("\nall as predicted" if table.passed else "\nNOT all as predicted")
    return 0 if table.passed else 1
