"""A user's own JAX training with orbax checkpoints."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from seaway import training

ctx = training.context()
training.init_distributed("jax")
chosen = ctx.hyperparameters(epochs=3, batch_size=64, rate=0.002)

width = len(ctx.train.names)
state = {"weight": jnp.zeros((width, ctx.classes)), "bias": jnp.zeros(ctx.classes), "done": np.array(0)}
checkpointer = ocp.PyTreeCheckpointer()
if folder := ctx.latest_checkpoint():
    state = checkpointer.restore(folder / "state", item=state)
    sys.stdout.write(f"goes on after {int(state['done'])}\n")


def scores(weights, x):
    return jnp.nan_to_num(x) / 1000 @ weights["weight"] + weights["bias"]


@jax.jit
def step(weights, x, y):
    def loss(weights):
        return -jnp.take_along_axis(jax.nn.log_softmax(scores(weights, x)), y[:, None], 1).mean()

    value, gradient = jax.value_and_grad(loss)(weights)
    return value, jax.tree.map(lambda w, g: w - chosen.rate * 100 * g, weights, gradient)


weights = {"weight": jnp.asarray(state["weight"]), "bias": jnp.asarray(state["bias"])}
for epoch in range(int(state["done"]), chosen.epochs):
    values = []
    for batch in ctx.train.shuffled(epoch, chosen.batch_size):
        value, weights = step(weights, batch.features, batch.target)
        values.append(float(value))
    ctx.report(step=epoch, train_loss=np.mean(values))
    with ctx.checkpoint(epoch) as folder:
        checkpointer.save(folder / "state", {**weights, "done": np.array(epoch + 1)})

layer = (np.asarray(weights["weight"]) / 1000, np.asarray(weights["bias"]))
ctx.save(
    training.dense_graph([layer], classifies=True),
    predict=lambda x: np.asarray(jax.nn.softmax(scores(weights, x))),
    estimator="softmax",
)
