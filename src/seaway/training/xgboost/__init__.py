"""The xgboost worker; see `seaway.training.xgboost.fit`."""

import os

# OpenMP threads that spin while they wait take the cores from whoever else works here. Read once, when xgboost loads
# OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
