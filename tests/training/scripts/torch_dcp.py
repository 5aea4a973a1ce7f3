"""A user's own PyTorch training on several ranks: DDP, checkpoints of torch.distributed.checkpoint."""

import os
import sys

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from torch.nn.parallel import DistributedDataParallel

from seaway import training

ctx = training.context()
training.init_distributed("pytorch")
chosen = ctx.hyperparameters(epochs=4, batch_size=32, rate=0.05)

torch.manual_seed(ctx.seed)
width = len(ctx.train.names)
network = torch.nn.Sequential(torch.nn.Linear(width, 8), torch.nn.ReLU(), torch.nn.Linear(8, ctx.classes))
model = DistributedDataParallel(network)
optimizer = torch.optim.SGD(model.parameters(), lr=chosen.rate)
scale = torch.tensor(np.nanstd(ctx.train.read().features, axis=0) + 1e-3)
torch.distributed.all_reduce(scale)
scale = (scale / ctx.world_size).requires_grad_(False)
state = {"model": model.state_dict(), "done": torch.zeros(1, dtype=torch.int64)}

if folder := ctx.latest_checkpoint():
    dcp.load(state, checkpoint_id=folder)
    model.load_state_dict(state["model"])
    sys.stdout.write(f"goes on after epoch {int(state['done'])} of {folder.name}\n")


def inputs(features):
    return torch.nan_to_num(torch.from_numpy(np.ascontiguousarray(features))) / scale


for epoch in range(int(state["done"]), chosen.epochs):
    losses = []
    for batch in ctx.train.shuffled(epoch, chosen.batch_size):
        loss = torch.nn.functional.cross_entropy(model(inputs(batch.features)), torch.from_numpy(batch.target))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == ctx.train.steps(chosen.batch_size)
    ctx.report(step=epoch, train_loss=np.mean(losses))
    state["done"][0] = epoch + 1
    with ctx.checkpoint(epoch, all_ranks=True) as folder:
        dcp.save(state, checkpoint_id=folder)
    if os.environ.get("DIE_AT") == f"{ctx.rank}/{epoch}":
        sys.stdout.flush()
        os.kill(os.getpid(), 9)

network.eval()


def predict(features):
    with torch.no_grad():
        return torch.softmax(network(inputs(features)), 1).numpy()


first, last = network[0], network[2]
layers = [(first.weight.T / scale[:, None], first.bias), (last.weight.T, last.bias)]
ctx.save(
    training.dense_graph([(w.detach().numpy(), b.detach().numpy()) for w, b in layers], classifies=True),
    predict=predict,
)
