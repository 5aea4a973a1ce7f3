"""The families of transforms, in the order of their columns in the feature matrix."""

from __future__ import annotations

from seaway.features.blocks import Block
from seaway.features.ops_buckets import BucketBlock
from seaway.features.ops_codes import OneHotBlock, OrdinalBlock
from seaway.features.ops_dates import DateBlock
from seaway.features.ops_numeric import MissingBlock, NumericBlock

ONE_HOT = OneHotBlock()
BLOCKS: tuple[Block, ...] = (NumericBlock(), MissingBlock(), BucketBlock(), DateBlock(), OrdinalBlock(), ONE_HOT)
"""One-hot is last: it is written into a matrix of zeros."""
