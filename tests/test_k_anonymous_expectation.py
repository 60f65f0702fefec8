"""The k of a table is measured in GX by code that knows no anonymizer, and planted classes show."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
from great_expectations.expectations.expectation import Expectation

from expectations.checks import Check
from expectations.errors import Refusal, UsageError
from expectations.suites import build_suite, check_k, validate
from expectations.vocabulary import CheckVerdict
from tasks import validation
