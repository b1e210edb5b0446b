"""What non-compact groups have in common: no law without a ridge, none for projected noise."""

from ._base import LawStatement


def noncompact_laws(what: str, closed: str = "") -> tuple[LawStatement, LawStatement]:
    """The two statements on isotropic and on projected noise.

    `what`: the clause that names what is not compact; `closed`: a sentence with the law under a
    ridge, where it is known.
    """
    pushforward = (
        f"{what} not compact, so V is infinite: isotropic noise has a law only with a ridge, with "
        f"the fibre integral in place of V.{closed}"
    )
    projected = "The action is not isometric. The virial identity holds."
    return (
        LawStatement("pushforward", "any", None, False, True, "lebesgue", "", pushforward),
        LawStatement("projected", "ito", None, False, True, "lebesgue", "", projected),
    )
