"""The four laws on the scalar product w = uv, in one figure."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import DASHES, PALETTE, axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def four_laws(
    temperature: float = 0.1, ridge: float = 0.2, cut: float = 0.1, ax: Any = None
) -> "Axes":
    """What noise of four kinds makes of the same loss: w = uv with l(w) = (w - 1)^2 / 2.

    On the balanced slice u = v the predictor Gram is K = 2|w| and the local orbit volume
    V = (2|w|)^(1/2), so that exp(-l/T) K^(-1/2) V^s has the exponent (s - 1)/2 of |w|:

    - isotropic noise with a ridge: exp(-l/T) K_0(ridge |w| / T), on the whole line;
    - horizontal noise from a balanced start, s = 0: exponent -1/2, on w > 0;
    - conditioned on the moment map, s = -1: exponent -1, normalisable only away from 0, and
      therefore shown on w >= `cut`;
    - projected noise with beta^2 = alpha^2 / 2, s = 1/2: exponent -1/4. This is the formula that
      holds for isometric actions; the rescaling of w = uv is not isometric, so it is dotted and no
      process is claimed to follow it here.

    **Arguments:** `temperature`, `ridge` and `cut` positive (`ValueError` otherwise); `ax` the
    axes to draw on, or `None` for a new figure.

    **Returns:** the axes. Sources: arXiv 2602.12257 (isometric actions), 2601.06597
    (conditioning).
    """
    for name, value in (("temperature", temperature), ("ridge", ridge), ("cut", cut)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` is {value}: give a positive number.")
    ax = axes(ax, (4.6, 3.1))
    reach = 1.0 + 4.0 * math.sqrt(temperature)
    curves = _curves(temperature, ridge, cut, reach)
    for index, (name, (x, density, formal)) in enumerate(curves.items()):
        ax.plot(
            x,
            density,
            color=PALETTE[index],
            linestyle=DASHES[2] if formal else "-",
            linewidth=1.3 if formal else 1.8,
            label=name,
        )
    x = np.linspace(1.0 - 4.0 * math.sqrt(temperature), reach, 400)
    gibbs = np.exp(-((x - 1.0) ** 2) / (2.0 * temperature))
    gibbs /= math.sqrt(2.0 * math.pi * temperature)
    ax.plot(x, gibbs, color="0.55", linestyle=DASHES[0], linewidth=1.0, label="no correction")
    ax.axvline(0.0, color="0.7", linewidth=0.7, zorder=0)
    ax.set(xlim=(x[0], reach), ylim=(0.0, 2.2 * float(gibbs.max())))
    ax.set(xlabel="w = uv", ylabel="density", title=f"One loss, four laws (T = {temperature:g})")
    ax.legend(fontsize=7, frameon=False, loc="upper right")
    tidy(ax)
    return ax


def _curves(
    temperature: float, ridge: float, cut: float, reach: float
) -> dict[str, tuple[np.ndarray, np.ndarray, bool]]:
    """Name -> (x, density, whether it is formal here), each normalised on its own domain."""
    from scipy.special import k0e

    def gibbs(x: np.ndarray) -> np.ndarray:
        return np.exp(-((x - 1.0) ** 2) / (2.0 * temperature))

    def bessel(x: np.ndarray) -> np.ndarray:
        z = ridge * np.abs(x) / temperature
        return gibbs(x) * k0e(z) * np.exp(-z)

    laws = {
        "isotropic, ridge": (bessel, -reach, False),
        "projected (formal)": (lambda x: gibbs(x) * x**-0.25, 0.0, True),
        "horizontal": (lambda x: gibbs(x) * x**-0.5, 0.0, False),
        f"conditioned, w ≥ {cut:g}": (lambda x: gibbs(x) / x, cut, False),
    }
    curves = {}
    for name, (unnormalised, low, formal) in laws.items():
        sides = [(-1.0, 0.0, -low), (1.0, 0.0, reach)] if low < 0 else [(1.0, low, reach)]
        parts = []
        for sign, start, stop in sides:
            # x = start + t^8 removes every singularity at the start that occurs here.
            t = (np.arange(4000) + 0.5) / 4000 * (stop - start) ** 0.125
            step = t[1] - t[0]
            x = sign * (start + t**8)
            density = unnormalised(x)
            parts.append((x, density, float(np.sum(density * 8.0 * t**7) * step)))
        mass = sum(part[2] for part in parts)
        x = np.concatenate([part[0][:: int(part[0][-1] > 0) * 2 - 1] for part in parts])
        density = np.concatenate([part[1][:: int(part[0][-1] > 0) * 2 - 1] for part in parts])
        curves[name] = (x, density / mass, formal)
    return curves
