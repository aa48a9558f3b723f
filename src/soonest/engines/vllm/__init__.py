"""Inside vLLM: its scheduler asks our policies, with no fork and no patch."""

from soonest.engines.vllm.front_end import FrontEnd
from soonest.engines.vllm.scheduler import Scheduler

__all__ = ["FrontEnd", "Scheduler"]
