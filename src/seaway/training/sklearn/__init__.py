"""The scikit-learn worker; see `seaway.training.sklearn.fit`."""

from __future__ import annotations

import os

from seaway.training.cores import cores

# OpenMP threads that spin while they wait take the cores from whoever else works here: on two shared cores boosted
# trees then cost four times the CPU. Read once, when scikit-learn loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Boosted trees are thousands of short parallel loops: a second thread gains nothing on an idle machine, and costs twice
# the time where both wait for a core that someone else has.
os.environ.setdefault("OMP_NUM_THREADS", "1" if cores() <= 2 else str(cores()))
