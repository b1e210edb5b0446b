"""torch: minibatch training of all chains at once, each with batches of its own."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from .._training_problems import Training


def network(params, batch):
    hidden = torch.relu(batch[0] @ params[0].mT)
    return (((hidden @ params[1].unsqueeze(-1)).squeeze(-1) - batch[1]) ** 2).mean(-1)


def sensing(params, batch):
    product = params[0] @ params[1].mT
    return (((batch[0] * product.unsqueeze(1)).sum((-1, -2)) - batch[1]) ** 2).mean(-1)


def run(problem: Training, steps: int) -> Callable:
    data = [torch.from_numpy(x) for x in problem.data]
    loss = {"network": network, "sensing": sensing}[problem.name]
    shape, samples = (problem.chains, problem.batch), len(data[0])

    def loop():
        torch.manual_seed(0)
        params = [torch.tensor(x, requires_grad=True) for x in problem.starts()]
        optimiser = torch.optim.SGD(params, lr=problem.learning_rate)
        for _ in range(steps):
            rows = torch.randint(samples, shape)
            optimiser.zero_grad()
            loss(params, [x[rows] for x in data]).sum().backward()
            optimiser.step()
        return tuple(p.detach().numpy() for p in params)

    return loop
