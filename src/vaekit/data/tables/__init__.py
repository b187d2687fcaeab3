"""Tables of mixed columns: read from files, told apart by a schema, made tensors and tables again."""

from __future__ import annotations

from vaekit.data.tables.codes import Code, Constant, Dates, Identifier, Level, Levels, Numbers
from vaekit.data.tables.column import Column, Role
from vaekit.data.tables.files import MISSING, read_frame
from vaekit.data.tables.frames import LIBRARIES, Frame, Library, Table, table_of
from vaekit.data.tables.kinds import KINDS, Kind
from vaekit.data.tables.schema import Schema, Summary, infer
from vaekit.data.tables.seen import Seen

__all__ = [
    "KINDS",
    "LIBRARIES",
    "MISSING",
    "Code",
    "Column",
    "Constant",
    "Dates",
    "Frame",
    "Identifier",
    "Kind",
    "Level",
    "Levels",
    "Library",
    "Numbers",
    "Role",
    "Schema",
    "Seen",
    "Summary",
    "Table",
    "infer",
    "read_frame",
    "table_of",
]
