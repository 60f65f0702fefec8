"""Whether the record is what was written, and its views say what it says; nothing is changed.

What proves the chains, heads and checkpoints (`chains`, `signatures`) shares no code with what
writes them: both follow the formats' pages. It knows no command, and of MLflow plain values only.
"""
