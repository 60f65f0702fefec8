"""Tests by floor and subject; what several of them need lies beside them or here."""
