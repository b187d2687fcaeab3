"""Scoring at any scale: batches of any kind, and sources larger than memory, part by part.

`BatchScorer` takes a batch as the user has it and hands it back with columns added; a `Job` does so for each part of a
`Source`, on an engine, and leaves a folder of finished parts.
"""

from __future__ import annotations

from vaekit.scoring.added import MEASURES, Added, Codes, Judged, Score, ShareOfEach
from vaekit.scoring.engines import ENGINES, Engine
from vaekit.scoring.formats import FORMATS, Format, Piece, format_for
from vaekit.scoring.job import Job, Summary, run_job
from vaekit.scoring.parts import Part, parts_of
from vaekit.scoring.scorer import BatchScorer
from vaekit.scoring.selection import BySchema, Selection
from vaekit.scoring.sources import CsvRows, FrameRows, Held, Source, StoreRows, TableRows, source_at
from vaekit.scoring.tables import Table, as_table

__all__ = [
    "ENGINES",
    "FORMATS",
    "MEASURES",
    "Added",
    "BatchScorer",
    "BySchema",
    "Codes",
    "CsvRows",
    "Engine",
    "Format",
    "FrameRows",
    "Held",
    "Job",
    "Judged",
    "Part",
    "Piece",
    "Score",
    "Selection",
    "ShareOfEach",
    "Source",
    "StoreRows",
    "Summary",
    "Table",
    "TableRows",
    "as_table",
    "format_for",
    "parts_of",
    "run_job",
    "source_at",
]
