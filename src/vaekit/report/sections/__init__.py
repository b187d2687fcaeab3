"""The sections of the report, one file each: a function from what the report is about to a `Section`."""
