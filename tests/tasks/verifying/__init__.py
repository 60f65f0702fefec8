"""Tests of verification: what was changed is named."""
