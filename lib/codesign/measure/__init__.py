"""The measurement protocol: sessions of interleaved engines, and what may be concluded from their records."""

from codesign.measure.entrant import Contender
from codesign.measure.protocol import PROTOCOLS, Protocol
from codesign.measure.ratios import Interval, median, ratio
from codesign.measure.session import run_session

__all__ = ["PROTOCOLS", "Contender", "Interval", "Protocol", "median", "ratio", "run_session"]
