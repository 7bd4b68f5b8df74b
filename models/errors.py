"""What a person can mend: an error whose message names the place and the fix, and its exit code."""

from __future__ import annotations


class UserError(Exception):
    """Shown as `error: …` without a traceback. Exit codes: docs/architecture.md, command line contract."""

    exit_code = 2


class CannotEvaluateError(UserError):
    """No data, stale data, unreadable kinds, input read in part."""

    exit_code = 3
