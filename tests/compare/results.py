"""What is kept of each run, and what the runs say together: medians, ratios, goals."""

import json
import statistics
from functools import cache
from pathlib import Path

from cases import EVERYWHERE, every_case
from measures import MEASURES, complaint

ABOUT = "about.json"
OF_KIND = {"sketch": "the sketch", "relay": "the relay", "rabbitmq": "RabbitMQ", "leveret": "in memory", "disk": "the disk",
           "limit": "the lower of the disk and in memory"}
LOWER_IS_BETTER = ("p50", "p99")


class Results:
    """A folder: `about.json`, and CASE/SYSTEM/REPETITION.json with one line each."""

    def __init__(self, folder):
        self.folder = Path(folder)
        about = self.folder / ABOUT
        self.about = json.loads(about.read_text()) if about.exists() else {"systems": {}, "left out": {}}
        self.cases = every_case()

    def keep_about(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / (ABOUT + ".new")
        draft.write_text(json.dumps(self.about, indent=1) + "\n")
        draft.rename(self.folder / ABOUT)

    def path(self, case, system, repetition):
        return self.folder / case / system / f"{repetition}.json"

    def keep(self, case, system, repetition, record):
        """All at once: an interrupted run must not leave half a line."""
        path = self.path(case, system, repetition)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(record) + "\n")
        draft.rename(path)

    @cache
    def runs(self, case, system):
        """What a system did: (repetition -> figures of the runs that are sound, what was wrong with the others)."""
        sound, wrong = {}, []
        for path in sorted((self.folder / case / system).glob("*.json")):
            record = json.loads(path.read_text())
            try:
                why = record.get("error") or complaint(record["found"])
                figures = None if why else MEASURES[self.cases[case].measure][1](record["found"])
            except (KeyError, TypeError) as missing:
                why = f"no figure {missing}"
            if why:
                wrong.append(why)
            else:
                sound[int(path.stem)] = figures
        return sound, wrong

    def values(self, case, system, figure):
        """repetition -> value"""
        found = {repetition: figures.get(figure) for repetition, figures in self.runs(case, system)[0].items()}
        return {repetition: value for repetition, value in found.items() if value is not None}

    def median(self, case, system, figure):
        values = self.values(case, system, figure).values()
        return statistics.median(values) if values else None

    def ratio(self, case, system, other_case, other_system, figure):
        """Taken repetition by repetition, because what ran side by side met the same machine; then the median of those."""
        above, below = self.values(case, system, figure), self.values(other_case, other_system, figure)
        ratios = [above[repetition] / below[repetition] for repetition in above if below.get(repetition)]
        return statistics.median(ratios) if ratios else None

    def ratio_to_lower(self, case, system, others, figure):
        """The same to the lower of two others."""
        above, below = self.values(case, system, figure), [self.values(case, other, figure) for other in others]
        ratios = [above[at] / min(values[at] for values in below) for at in above if all(values.get(at) for values in below)]
        return statistics.median(ratios) if ratios else None

    def systems(self, kind=None):
        known = self.about["systems"]
        return [name for name in known if kind in (None, known[name]["kind"])]

    def title(self, system):
        return self.about["systems"][system]["title"]


def described(goal):
    """A goal in words."""
    figure = "" if goal.figure == "rate" else f"{goal.figure} "
    sign = "≤" if goal.at_most else "≥"
    if not goal.against:
        return f"{sign} {goal.bound:g}"
    yardstick = OF_KIND.get(goal.against, f"own `{goal.against}`")
    return f"{figure}{sign} {goal.bound:g} × {yardstick}"


def judge(results, case, goal, leveret="leveret"):
    """What a goal says: (how it is missed, or nothing, for each yardstick). None for want of a yardstick."""
    if not results.values(case, leveret, goal.figure):
        return []
    found = []
    for name, ratio in yardsticks(results, case, goal, leveret):
        if ratio is not None:
            reached = ratio <= goal.bound if goal.at_most else ratio >= goal.bound
            found.append(None if reached else missed(goal, name, ratio))
    return found or None


def yardsticks(results, case, goal, leveret):
    if not goal.against:
        yield "", results.median(case, leveret, goal.figure)
    elif goal.against == "limit":
        yield OF_KIND[goal.against], results.ratio_to_lower(case, leveret, ("disk", "leveret"), goal.figure)
    elif goal.against in OF_KIND:
        for system in results.systems(goal.against):
            yield results.title(system), results.ratio(case, leveret, case, system, goal.figure)
    else:
        yield f"own `{goal.against}`", results.ratio(case, leveret, goal.against, leveret, goal.figure)


def missed(goal, name, ratio):
    limit = f"at {'most' if goal.at_most else 'least'} {goal.bound:g}"
    return f"{goal.figure} {ratio:.3g}{f' × {name}' if name else ''}, {limit} wanted"


def verdict(results, case, goals, everywhere=EVERYWHERE, leveret="leveret"):
    """`✓`, or plainly what is missing."""
    sound, wrong = results.runs(case, leveret)
    if not sound and not wrong:
        return "did not run"
    said = [f"{len(wrong)} of {len(wrong) + len(sound)} runs failed"] if wrong else []
    for goal in goals:
        shortfalls = judge(results, case, goal, leveret)
        if shortfalls is None:
            shortfalls = [f"{described(goal)}: nothing to compare with"]
        said += filter(None, shortfalls)
    for goal in everywhere:
        said += filter(None, judge(results, case, goal, leveret) or [])
    return "; ".join(said) or ("✓" if goals or everywhere else "")
