"""The JAX worker; see `seaway.training.jax.learner`."""
