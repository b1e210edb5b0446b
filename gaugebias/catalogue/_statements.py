"""Tables of laws that models share: non-compact groups with a moment map, and isometries."""

from ._describe import LawStatement

ON_THE_SLICE = "tr(P A) = 0 all over the slice."
CONSERVED = "chi is conserved, so a start on the slice stays there."
NOT_ISOMETRIC = "The action is not isometric. The virial identity holds."


def moment_map_laws(
    horizontal: str,
    conditioned: str,
    *,
    ito: str | None,
    what: str,
    normalisable: bool,
    at: str,
    start: str = "",
    closed: str = "",
) -> tuple[LawStatement, ...]:
    """The laws of a non-compact group on the slice of its moment map.

    - `horizontal`, `conditioned`: the densities of the exponents 0 and -1.
    - `ito`: why Ito horizontal noise leaves the slice, or `None` where it does not.
    - `what`: the clause that names what is not compact.
    - `normalisable`, `at`: whether the conditioned law is, and the stratum where it is not.
    - `start`: a clause on what a start on the slice cannot do.
    - `closed`: a sentence with the isotropic law under a ridge, where it is known.
    """
    stays = ito is None
    tail = f" {start}" if start else ""
    drawn = "Conditioned on the moment map; only symmetric generators count."
    if not normalisable:
        drawn += f" Not normalisable at {at}: restrict the domain."
    return (
        LawStatement(
            "horizontal",
            "ito",
            0.0,
            stays,
            True,
            "lebesgue",
            horizontal,
            ON_THE_SLICE + tail if ito is None else ito,
        ),
        LawStatement(
            "horizontal", "stratonovich", 0.0, True, True, "lebesgue", horizontal, CONSERVED + tail
        ),
        *_no_isotropic_law(what, closed),
        LawStatement(
            "conditioned", "any", -1.0, True, normalisable, "lebesgue", conditioned, drawn
        ),
    )


def refused_laws(horizontal: str, what: str, conditioned: str) -> tuple[LawStatement, ...]:
    """No law holds: why neither kind of horizontal noise has one, and why none is conditioned."""
    return (
        _refused("horizontal", "ito", horizontal),
        _refused("horizontal", "stratonovich", horizontal),
        *_no_isotropic_law(what, ""),
        _refused("conditioned", "any", conditioned),
    )


def sphere_laws(
    density: str, ito: str, stratonovich: str, pushforward: str
) -> tuple[LawStatement, ...]:
    """The laws of a pure scaling, whose gauge is a sphere: conditioning alone is built."""
    drawn = "Conditioned on the sphere, a gauge of its own: the moment map has no zero."
    return (
        _refused("horizontal", "ito", ito),
        _refused("horizontal", "stratonovich", stratonovich),
        _refused("pushforward", "any", pushforward),
        _refused("projected", "ito", NOT_ISOMETRIC),
        LawStatement("conditioned", "any", -1.0, True, True, "lebesgue", density, drawn),
    )


def _refused(name: str, calculus: str, reason: str) -> LawStatement:
    exponent = 0.0 if name == "horizontal" else None
    return LawStatement(name, calculus, exponent, False, True, "lebesgue", "", reason)


def _no_isotropic_law(what: str, closed: str) -> tuple[LawStatement, LawStatement]:
    pushforward = (
        f"{what} not compact, so V is infinite: isotropic noise has a law only with a ridge, with "
        f"the fibre integral in place of V.{closed}"
    )
    return (
        _refused("pushforward", "any", pushforward),
        _refused("projected", "ito", NOT_ISOMETRIC),
    )


def isometric_laws(
    horizontal: str,
    pushforward: str,
    projected: str,
    *,
    why: str = "The action is isometric and the group compact.",
    unconditioned: str = (
        "No generator is symmetric, so there is no slice to condition on: the conditioned law "
        "is the push-forward. The density with V^-1 is not its law."
    ),
) -> tuple[LawStatement, ...]:
    """The laws of an isometric action, which all hold, from their three closed forms."""
    return (
        LawStatement("horizontal", "ito", 0.0, True, True, "lebesgue", horizontal, why),
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
        LawStatement("pushforward", "any", 1.0, True, True, "lebesgue", pushforward, why),
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
        LawStatement("conditioned", "any", None, False, True, "lebesgue", "", unconditioned),
    )
