"""Names for the arrays that streams of packets are kept in."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Sequences16: TypeAlias = NDArray[np.uint16]
"""Sequence numbers of RTP."""
Stamps: TypeAlias = NDArray[np.uint32]
"""Timestamps or sources of RTP."""
Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.int16]
"""Sound: G.711 codes or linear samples."""
