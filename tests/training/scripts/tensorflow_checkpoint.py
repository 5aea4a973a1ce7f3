"""A user's own TensorFlow training with tf.train.Checkpoint."""

import sys

import numpy as np
import tensorflow as tf

from seaway import training

ctx = training.context()
training.init_distributed("tensorflow")
chosen = ctx.hyperparameters(epochs=3, batch_size=64)

tf.random.set_seed(ctx.seed)
weight = tf.Variable(tf.zeros((len(ctx.train.names), ctx.classes)))
bias = tf.Variable(tf.zeros(ctx.classes))
done = tf.Variable(0, dtype=tf.int64)
checkpoint = tf.train.Checkpoint(weight=weight, bias=bias, done=done)
if folder := ctx.latest_checkpoint():
    checkpoint.read(str(folder / "state")).assert_consumed()
    sys.stdout.write(f"goes on after {int(done)}\n")


def scores(x):
    known = tf.where(tf.math.is_nan(x), 0.0, x)
    return known / 1000.0 @ weight + bias


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, scores(x))
        loss = tf.reduce_mean(losses)
    for variable, gradient in zip((weight, bias), tape.gradient(loss, (weight, bias)), strict=True):
        variable.assign_sub(0.2 * gradient)
    return loss


for epoch in range(int(done), chosen.epochs):
    values = [float(step(tf.constant(b.features), b.target)) for b in ctx.train.shuffled(epoch, chosen.batch_size)]
    ctx.report(step=epoch, train_loss=np.mean(values))
    done.assign(epoch + 1)
    with ctx.checkpoint(epoch) as folder:
        checkpoint.write(str(folder / "state"))

ctx.save(
    training.dense_graph([(weight.numpy() / 1000, bias.numpy())], classifies=True),
    predict=lambda x: tf.nn.softmax(scores(tf.constant(x))).numpy(),
)
