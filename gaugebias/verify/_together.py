"""Cases shared between processes of several hosts: each takes the next one until none is left.

Whole cases are shared, not their chains: they are many, they need nothing of each other, and a
case's numbers are then the same bits whoever runs it. Process 0 keeps the record; the others send
it what they find, files included, so that hosts need no common disk.
"""

import dataclasses
import json
import queue
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..distributed import ProcessLost
from ..distributed._bus import Bus
from ._attempt import Known, Message, Reached, Settings, Started, attempt, lost
from ._case import Case, Outcome
from ._report import Judged, Row

_OFTEN = 0.5  # seconds between two messages on how far a case is


def _ordered(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: -case.cost)


def check_same(bus: Bus, cases: Sequence[Case], settings: Settings) -> None:
    """`ValueError` on every process where they were started with different options."""
    mine = {"cases": [case.name for case in cases], **settings._asdict(), "folder": None}
    all_ = bus.gather("options of verify", json.dumps(mine).encode())
    for number, said in enumerate(all_):
        if said != all_[0]:
            first, other = json.loads(all_[0]), json.loads(said)
            names = ", ".join(name for name in first if first[name] != other[name])
            raise ValueError(
                f"`distributed`: process {number} was started with other options than process 0 "
                f"({names}): give all of them the same."
            )


def help_with(bus: Bus, cases: Sequence[Case], settings: Settings) -> int:
    """The part of every process but 0. **Returns:** the exit code of the run."""
    order, last = _ordered(cases), [0.0]

    def tell(message: Message) -> None:
        now = time.monotonic()
        if isinstance(message, Reached):
            if now - last[0] < _OFTEN:
                return
            last[0] = now
        if isinstance(message, Known):
            bus.post({"kind": "known", **_packed(message.outcome)})
        else:
            bus.post(
                {"kind": type(message).__name__.lower(), "process": bus.index, **message._asdict()}
            )

    with tempfile.TemporaryDirectory() as folder:
        mine = settings._replace(folder=Path(folder))
        check_same(bus, cases, mine)
        while (number := bus.take("case")) < len(order):
            outcome = attempt(order[number], mine, tell)
            if outcome.status == "interrupted":
                bus.check()
                bus.fail("interrupted")
                return 130
            names = [p for p in mine.folder.iterdir() if p.stem.startswith(outcome.case.name)]
            files = {p.name: p.read_bytes() for p in names}
            sizes = {name: len(data) for name, data in files.items()}
            head = {"kind": "outcome", "files": sizes, **_packed(outcome)}
            bus.post(head, b"".join(files.values()))
    return int(bus.gather("end of verify", b"0")[0])


def lead(
    bus: Bus,
    cases: Sequence[Case],
    settings: Settings,
    tell: Callable[[Message], None],
    finished: Callable[[Outcome], None],
) -> tuple[bool, str | None]:
    """The part of process 0. Whether all cases were run, and which process was lost if one was."""
    check_same(bus, cases, settings)
    order, by_name = _ordered(cases), {case.name: case for case in cases}
    running: dict[str, tuple[int, Outcome | None]] = {}  # on other processes: who, what is known
    left = {case.name for case in cases}

    def listen(wait: float) -> None:
        try:
            while True:
                head, payload = bus.inbox.get(timeout=wait) if wait else bus.inbox.get_nowait()
                _heard(head, payload)
        except queue.Empty:
            return

    def _heard(head: dict[str, Any], payload: bytes) -> None:
        kind = head["kind"]
        if kind == "started":
            running[head["name"]] = (head["process"], None)
            tell(Started(head["name"], head["second"]))
        elif kind == "reached":
            tell(Reached(head["name"], head["text"], head["fraction"]))
        elif kind == "known":
            known = _unpacked(head, by_name)
            running[known.case.name] = (running[known.case.name][0], known)
            tell(Known(known))
        else:
            outcome, at = _unpacked(head, by_name), 0
            for name, size in head["files"].items():
                (settings.folder / Path(name).name).write_bytes(payload[at : at + size])
                at += size
            running.pop(outcome.case.name, None)
            left.discard(outcome.case.name)
            finished(outcome)

    def tell_and_listen(message: Message) -> None:
        listen(0.0)
        tell(message)

    try:
        while (number := bus.take("case")) < len(order):
            outcome = attempt(order[number], settings, tell_and_listen)
            finished(outcome)
            if outcome.status == "interrupted":
                bus.check()
                bus.fail("interrupted")
                return False, None
            left.discard(outcome.case.name)
            listen(0.0)
        while left:
            bus.check()
            listen(0.2)
    except ProcessLost as error:
        listen(0.0)
        for name, (process, known) in running.items():
            text = f"not finished: it was run by process {process} when a process was lost"
            finished(lost(by_name[name], settings, known, "error", text))
        return False, str(error)
    except KeyboardInterrupt:
        bus.fail("interrupted")
        return False, None
    return True, None


def _packed(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON, its case by name."""
    fields = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    fields["case"] = outcome.case.name
    fields["judged"] = [dataclasses.asdict(each) for each in outcome.judged]
    return {"outcome": fields}


def _unpacked(head: dict[str, Any], by_name: dict[str, Case]) -> Outcome:
    fields = dict(head["outcome"])
    fields["case"] = by_name[fields["case"]]
    fields["notes"] = tuple(fields["notes"])
    fields["judged"] = tuple(
        Judged(
            Row(**each["row"]),
            each["verdict"],
            None if each["first"] is None else Row(**each["first"]),
        )
        for each in fields["judged"]
    )
    return Outcome(**fields)
