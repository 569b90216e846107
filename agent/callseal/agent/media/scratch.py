"""Memory for one block at a time, used again and again: new memory costs more than what is written to it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEP_BYTES: Final = 1 << 20


class Scratch:
    """Grows to the largest block; what was given out before is written over."""

    def __init__(self) -> None:
        self._data: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        """Give at least so many bytes, whose content is of no meaning; good until the next call."""
        if len(self._data) < size_bytes:
            self._data = np.zeros(-(-size_bytes // _STEP_BYTES) * _STEP_BYTES, np.uint8)
        return self._data
