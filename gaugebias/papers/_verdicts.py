"""Verdicts on several numbers as one."""


def all_of(*verdicts: str) -> str:
    """`"supported"` where all are, `"not supported"` where one is not, else `"undecided"`."""
    if "not supported" in verdicts:
        return "not supported"
    return "undecided" if "undecided" in verdicts else "supported"
