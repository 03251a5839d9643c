"""What the labelling page says while it shows no comparison: whether more will come, and when."""

from __future__ import annotations

from repro.preferences.labeller.desk import Situation


def describe_outlook(situation: Situation, run: str, wanted: int | None, asked: int, unanswered: int) -> str:
    """What there is to wait for, in one or two sentences.

    wanted: comparisons that the run asks for in all, where that is known. asked: so far; unanswered: of these.
    """
    status = situation.status
    if unanswered:  # the page would show them otherwise
        return f"Somebody else is looking at what is left ({unanswered:,}). It appears here if they do not answer it."
    if status is None:
        return "All labelled. These comparisons were saved earlier: no more will come."
    if status == "finished":
        return "All labelled. The run has finished: no more will come."
    more = wanted is None or asked < wanted
    if status == "queued":
        return "The run has not begun yet. Its comparisons appear here by themselves."
    if status == "running" and more:
        return "All labelled. Training goes on; its next comparisons appear here by themselves."
    if status == "running":
        return "All labelled: the run has asked for all that it wanted. Training goes on, and no more will come."
    if more:
        return f"All labelled. The run has stopped ({status}). More will come once it goes on: repro resume {run}"
    return f"All labelled. The run has stopped ({status}), and had asked for all that it wanted: no more will come."
