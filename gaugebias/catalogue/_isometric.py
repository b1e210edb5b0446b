"""The laws of isometric actions of compact groups, which all hold."""

from ._base import LawStatement


def isometric_laws(horizontal: str, pushforward: str, projected: str) -> tuple[LawStatement, ...]:
    """The table of laws of an isometric compact action, from its three closed forms."""
    return (
        LawStatement(
            "horizontal",
            "ito",
            0.0,
            True,
            True,
            "lebesgue",
            horizontal,
            "The action is isometric and the group compact.",
        ),
        LawStatement(
            "horizontal",
            "stratonovich",
            0.0,
            True,
            True,
            "lebesgue",
            horizontal,
            "P o dW differs from Ito noise by a drift along the orbits alone.",
        ),
        LawStatement(
            "pushforward",
            "any",
            1.0,
            True,
            True,
            "lebesgue",
            pushforward,
            "The action is isometric and the group compact.",
        ),
        LawStatement(
            "projected",
            "ito",
            None,
            True,
            True,
            "lebesgue",
            projected,
            "At temperature alpha^2 T with exponent beta^2/alpha^2; formal at singular orbits when "
            "alpha and beta are constant and differ (2602.12257, Thm 3 and Cor. 4).",
        ),
        LawStatement(
            "conditioned",
            "any",
            None,
            False,
            True,
            "lebesgue",
            "",
            "No generator is symmetric, so there is no slice to condition on: the conditioned law "
            "is the push-forward. The density with V^-1 is not its law.",
        ),
    )
