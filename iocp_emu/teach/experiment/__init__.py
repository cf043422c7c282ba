"""The experiment with the concurrency value: the same work, again and again, with one value after the other.

Theory.  The classic page says that one can easily try out concurrency values (S18, A-08); this does it.  Workers take
packets from one port, compute and wait as a `Work` says, in the simulation or on real threads; `run` tries every value
and returns what was measured, and `Result.knee` says which value is the one to choose, and why.

    text:   grammar -> work,  settings             what is to be done
    runs:   simulated, threaded -> measures        one run with one value
    all:    sweep -> results                       every value, the knee
    shown:  text, terminal, document, page, figure, command

>>> from iocp_emu.teach.experiment import run
>>> result = run("cpu=5ms", threads=8, processors=2, concurrency="1..4", packets=500)
>>> [round(point.throughput) for point in result.points]
[200, 400, 400, 400]
>>> result.knee.sentence
'2 = the processors: there they are 100% busy, and beyond it more threads only share them.'
"""

from .grammar import WorkSyntaxError as WorkSyntaxError
from .grammar import parse_work as parse_work
from .measures import Point as Point
from .measures import Run as Run
from .measures import Sample as Sample
from .measures import Spread as Spread
from .measures import Times as Times
from .results import Cause as Cause
from .results import Knee as Knee
from .results import Result as Result
from .settings import Arrivals as Arrivals
from .settings import Batch as Batch
from .settings import Closed as Closed
from .settings import Engine as Engine
from .settings import Open as Open
from .settings import Settings as Settings
from .settings import Spacing as Spacing
from .sweep import Progress as Progress
from .sweep import make_settings as make_settings
from .sweep import run as run
from .sweep import runs_of as runs_of
from .work import Burst as Burst
from .work import Kind as Kind
from .work import Step as Step
from .work import Work as Work

__all__ = [
    "run",
    "runs_of",
    "make_settings",
    "Settings",
    "Engine",
    "Progress",
    "Arrivals",
    "Closed",
    "Open",
    "Spacing",
    "Batch",
    "parse_work",
    "WorkSyntaxError",
    "Work",
    "Step",
    "Burst",
    "Kind",
    "Result",
    "Knee",
    "Cause",
    "Point",
    "Run",
    "Times",
    "Sample",
    "Spread",
]
