"""The same step on many devices: placements that end at the same parameters."""

from jaxnn.parallel.placements import AXIS as AXIS
from jaxnn.parallel.placements import PLACEMENTS as PLACEMENTS
from jaxnn.parallel.placements import Automatic as Automatic
from jaxnn.parallel.placements import Pmap as Pmap
from jaxnn.parallel.placements import ShardMap as ShardMap
from jaxnn.parallel.placements import Single as Single
from jaxnn.parallel.placements import placement as placement
