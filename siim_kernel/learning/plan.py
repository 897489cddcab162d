"""Which networks look at the films that remain, so that all of them are predicted in the time that is left.

Plain arithmetic on measured seconds: no clock and no TensorFlow here. The full plan is every network at every film, and the
mirrored film too where its recipe asks for that. When the remaining films would not fit, mirrored films go first, then
networks, the last one named first; when time is found again, they come back. One network always stays: what it cannot reach
before the end gets the priors.
"""

from collections import deque
from statistics import median_low
from typing import NamedTuple

MARGIN = 1.1  # the remaining work is taken to last this much longer than it is measured to
RECENT = 16  # batches that a rate is measured on
NO_TIME, NOT_YET = "no time left", "not predicted yet"  # why a film has the priors that nobody tried to read


class View(NamedTuple):
    """One look at a film: which network (place among the runs), at the film as it is or at its mirror."""

    network: int
    mirrored: bool


def views_of(flips):
    """All views, the most wanted first: every network once, then the mirrors. `flips` says for each network if it has mirrors."""
    plain = [View(network, False) for network in range(len(flips))]
    return (*plain, *(View(network, True) for network, flip in enumerate(flips) if flip))


def choose(views, costs, films, seconds):
    """The views that a number of films can have in so many seconds: a tuple, in the order of `views`, never empty.

    views    the most wanted first; a mirrored view is taken only with the plain one of its network
    costs    seconds a film of each view; one that is not known yet costs nothing
    seconds  for the networks alone; infinity is no limit

    Where not even one view fits, it is the cheapest plain one.
    """
    chosen = []
    for view in views:
        needed = films * costs.get(view, 0.0)
        if needed <= seconds and (not view.mirrored or View(view.network, False) in chosen):
            chosen.append(view)
            seconds -= needed
    return tuple(chosen) or (min((view for view in views if not view.mirrored), key=lambda view: costs.get(view, 0.0)),)


class Pace:
    """What was measured so far, and the views that it leaves time for.

    The cost of a view is the median of its last batches, without the first batch of a network, in which TensorFlow compiles
    it. Waiting for films is their mean: a film that takes a minute will not be the only one.
    """

    def __init__(self, views):
        self.views = views
        self._costs = {view: deque(maxlen=RECENT) for view in views}
        self._first = {}
        self._waits = deque(maxlen=RECENT)

    def looked(self, view, seconds, films):
        """A view of so many films took so many seconds."""
        if view.network in self._first:
            self._costs[view].append(seconds / films)
        else:
            self._first[view.network] = seconds / films

    def waited(self, seconds, films):
        """So many films came after the networks had waited so many seconds for them."""
        self._waits.append((seconds, films))

    def cost(self, view):
        """Seconds a film of a view, or of its mirror; 0 while neither is known."""
        measured = self._costs[view] or self._costs.get(View(view.network, not view.mirrored))
        return median_low(measured) if measured else 0.0

    def guess(self, view):
        """As `cost`, but for a view that is not known the most that any took."""
        return self.cost(view) or max([*map(self.cost, self.views), *self._first.values()], default=0.0)

    @property
    def waiting(self):
        """Seconds that the networks wait for a film, 0 while it is not known."""
        films = sum(count for _, count in self._waits)
        return sum(seconds for seconds, _ in self._waits) / films if films else 0.0

    @property
    def least(self):
        """Seconds a film of the cheapest view, 0 while one is not known."""
        return min((self.cost(view) for view in self.views if not view.mirrored), default=0.0)

    def choose(self, in_hand, to_come, left):
        """The views for `in_hand` decoded films and `to_come` others, when `left` seconds remain."""
        costs = {view: self.cost(view) for view in self.views}
        return choose(self.views, costs, in_hand + to_come, left / MARGIN - to_come * self.waiting)
