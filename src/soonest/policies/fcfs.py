"""First come, first served."""

from soonest.core import Numbers, Plain


class FCFS(Plain):
    """Serve requests in arrival order, as LLM engines do today.

    One long answer keeps many short ones waiting. Memory is allocated token by token; on overflow the newest goes.
    Kwon et al., 2023 (vLLM, arXiv:2309.06180).
    """

    name = "fcfs"
    source = "vLLM (arXiv:2309.06180)"
    rows = (Numbers(age=1),)
