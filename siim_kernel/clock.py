"""Time that is limited: a Kaggle session ends by the clock, and work must stop before it does."""

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, in seconds; infinity is no limit at all."""

    at: float

    def left(self):
        """Seconds until the deadline, negative once it has passed."""
        return self.at - time.monotonic()


UNLIMITED = Deadline(math.inf)


def after(hours):
    """The `Deadline` that many hours from now; None is no limit."""
    return UNLIMITED if hours is None else Deadline(time.monotonic() + hours * 3600)
