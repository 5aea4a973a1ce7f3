"""Pipelines on a cluster, through kfp.Client: submit a run, wait for it, schedule recurring runs, upload.

Importing this imports nothing heavy; kfp is imported when it is asked.
"""

from seaway.submission.recurring import RecurringRun, schedule
from seaway.submission.runs import Outcome, Run, submit, wait
from seaway.submission.uploads import Upload, upload

__all__ = ["Outcome", "RecurringRun", "Run", "Upload", "schedule", "submit", "upload", "wait"]
