"""Forms the group of a framework and adds up what every rank gives; saves nothing."""

import sys

from seaway import training

ctx = training.context()
framework = ctx.param("framework", "pytorch")
place = training.init_distributed(framework)
assert (place.rank, place.world_size) == (ctx.rank, ctx.world_size)
if framework == "pytorch":
    import torch

    one = torch.tensor([place.rank + 1.0])
    torch.distributed.all_reduce(one)
    total = one.item()
else:
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    assert jax.process_count() == ctx.world_size
    total = multihost_utils.process_allgather(np.array([place.rank + 1.0])).sum()
sys.stdout.write(f"all ranks give {total:g}\n")
sys.exit(3)
