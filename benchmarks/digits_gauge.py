"""Balance a ReLU network trained on scikit-learn's digits without changing its predictions.

    python -m benchmarks.digits_gauge --out FOLDER

trains a 64-64-32-10 network in float32, moves it to the point of least norm among all networks
that its rescaling symmetry makes equal to it, prints how unbalanced each layer was and writes two
figures.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gaugebias as gb

WIDTHS = (64, 64, 32, 10)
STEPS, BATCH, RATE = 1_500, 128, 3e-3
LIMIT = 1e-5


def network(params: Any, x: Any) -> Any:
    """Logits of the network, shape (n, 10)."""
    last = len(params) - 1
    for i, layer in enumerate(params):
        x = x @ layer["w"].T + layer["b"][None]
        x = jax.nn.relu(x) if i < last else x
    return x


def probabilities(params: Any, x: Any) -> Any:
    """What the network predicts: the probability of each class, shape (n, 10)."""
    return jax.nn.softmax(network(params, x))


def group() -> gb.symmetry.Product:
    """Positive rescaling of the units of both hidden layers, biases included."""
    return gb.symmetry.Product(
        *(
            gb.symmetry.Rescaling((f"{i}.w", f"{i}.b"), f"{i + 1}.w", axes=((0, 0), 1))
            for i in range(len(WIDTHS) - 2)
        )
    )


def digits(seed: int) -> tuple[Any, Any, Any, Any]:
    """Training and test pictures (scaled to 0..1) and labels; one in five is for the test."""
    from sklearn.datasets import load_digits

    pictures, labels = (np.asarray(a) for a in load_digits(return_X_y=True))
    order = np.random.default_rng(seed).permutation(len(labels))
    x = jnp.asarray(pictures[order] / 16.0, jnp.float32)
    y = jnp.asarray(labels[order])
    cut = len(order) // 5
    return x[cut:], y[cut:], x[:cut], y[:cut]


def start(seed: int) -> Any:
    """He's initialisation."""
    keys = jax.random.split(jax.random.key(seed), len(WIDTHS) - 1)
    pairs = zip(keys, WIDTHS[:-1], WIDTHS[1:], strict=True)
    return tuple(
        {"w": jax.random.normal(k, (n, m)) * jnp.sqrt(2.0 / m), "b": jnp.zeros(n)}
        for k, m, n in pairs
    )


def train(seed: int, x: Any, y: Any) -> Any:
    """Adam on the cross-entropy, without weight decay."""
    import optax

    optimiser = optax.adam(RATE)

    def loss(params: Any, chosen: Any) -> Any:
        logits = network(params, x[chosen])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y[chosen]))

    def step(state: Any, key: Any) -> tuple[Any, Any]:
        params, memory = state
        chosen = jax.random.randint(key, (BATCH,), 0, x.shape[0])
        value, slope = jax.value_and_grad(loss)(params, chosen)
        update, memory = optimiser.update(slope, memory, params)
        return (optax.apply_updates(params, update), memory), value

    params = start(seed)
    keys = jax.random.split(jax.random.key(seed + 1), STEPS)
    (params, _), _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))(
        (params, optimiser.init(params))
    )
    return params


def run(seed: int = 0) -> dict[str, Any]:
    """Train, balance and measure. The numbers printed and drawn."""
    x, y, x_test, y_test = digits(seed)
    params = train(seed, x, y)
    q = gb.Quotient(lambda p: probabilities(p, x_test), group())
    begin = time.perf_counter()
    report = gb.quotient.balance_report(q, params)
    seconds = time.perf_counter() - begin
    logits = network(params, x_test)
    moved = jnp.abs(network(report.balanced, x_test) - logits)
    labels = jnp.argmax(logits, axis=1)
    after = gb.quotient.balance_report(q, report.balanced)
    return {
        "report": report,
        "after": after,
        "params": params,
        "test_accuracy": float(jnp.mean(labels == y_test)),
        "labels_changed": int(
            jnp.sum(labels != jnp.argmax(network(report.balanced, x_test), axis=1))
        ),
        "logit_change": float(jnp.max(moved)),
        "logit_change_relative": float(jnp.max(moved) / jnp.max(jnp.abs(logits))),
        "seconds": seconds,
    }


def save_figures(result: dict[str, Any], folder: Path) -> list[Path]:
    """Two panels: how unbalanced the units were, and the norm of each leaf before and after."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from gaugebias.plot import PALETTE

    report, after = result["report"], result["after"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    for i, layer in enumerate(report.layers):
        ratios = np.sort(layer.ratios)
        place = (np.arange(ratios.size) + 0.5) / ratios.size
        left.plot(place, ratios, color=PALETTE[i], label=f"hidden layer {i + 1}")
        balanced = np.sort(after.layers[i].ratios)
        left.plot(place, balanced, "--", color=PALETTE[i], label=f"layer {i + 1}, balanced")
    left.set(
        ylim=(0.0, None),
        xlabel="units, sorted (fraction)",
        ylabel="norm, incoming / outgoing",
        title="How unbalanced each unit is",
    )
    left.legend(fontsize=7, frameon=False)

    def squares(layers: Any) -> list[float]:
        return [float(jnp.sum(x["w"] ** 2) + jnp.sum(x["b"] ** 2)) for x in layers]

    before, least = squares(result["params"]), squares(report.balanced)
    place = np.arange(len(before))
    right.bar(place - 0.2, before, 0.4, color=PALETTE[1], label="trained")
    right.bar(place + 0.2, least, 0.4, color=PALETTE[0], label="balanced")
    right.set_xticks(place, [f"layer {i + 1}" for i in place])
    right.set(
        ylabel="squared norm",
        title=f"Norm {report.norm:.2f} to {report.norm_after:.2f}, the orbit's least",
    )
    right.legend(fontsize=7, frameon=False)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            text.set_fontsize(9)
        ax.tick_params(labelsize=8)
    path = folder / "digits_gauge.png"
    figure.savefig(path, dpi=160)
    plt.close(figure)
    return [path]


def main() -> int:
    """Run the example; 1 where predictions changed by more than the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for figure and numbers")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    result = run(args.seed)
    report = result["report"]
    print(f"test accuracy {100 * result['test_accuracy']:.1f}%")
    print(report.table())
    print(
        f"probabilities change by at most {report.change:.2e} (limit {LIMIT:.0e}), logits by "
        f"{result['logit_change']:.2e} ({result['logit_change_relative']:.2e} of the largest), "
        f"{result['labels_changed']} labels; balanced in {result['seconds']:.1f} s, compilation "
        "included"
    )
    numbers = {k: v for k, v in result.items() if isinstance(v, int | float)}
    numbers |= {
        "norm": report.norm,
        "norm_after": report.norm_after,
        "probability_change": report.change,
        "imbalance": [layer.imbalance for layer in report.layers],
        "imbalance_after": [layer.imbalance_after for layer in report.layers],
    }
    (args.out / "digits_gauge.json").write_text(json.dumps(numbers, indent=2) + "\n")
    for path in save_figures(result, args.out):
        print(f"wrote {path}")
    return 0 if report.change <= LIMIT and result["labels_changed"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
