"""The PyTorch worker; see `seaway.training.pytorch.fit`."""

import os

# OpenMP threads that spin while they wait take the cores from whoever else works here: on two shared cores an epoch
# then takes twenty times as long. Read once, when torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
