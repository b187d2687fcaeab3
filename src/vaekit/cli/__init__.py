"""The command line. Nothing here imports torch before a verb has been chosen."""
