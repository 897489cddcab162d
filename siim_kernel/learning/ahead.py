"""Items taken ahead of their consumer in a thread, and a wait for them that ends."""

import math
import queue
import threading
from time import monotonic

GRACE = 2.0  # seconds that `close` waits for the thread


class Ahead:
    """Takes up to `size` items of an iterable ahead in a thread, so that their making goes on while the consumer computes.

    A context: leaving it stops the taking and closes the iterable. An item that hangs does not hold the consumer up: its
    thread is left to end when the item does.
    """

    def __init__(self, items, size):
        self._items, self._queue, self._stopped = items, queue.Queue(size), threading.Event()
        self._ended, self._error = False, None
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        while not self._queue.empty():  # frees a thread that waits for room
            self._queue.get_nowait()
        self._thread.join(GRACE)

    def _fill(self):
        last = (False, None)
        try:
            for item in self._items:
                self._queue.put((True, item))
                if self._stopped.is_set():
                    break
        except BaseException as error:  # whatever the iterable raises is the consumer's: it is raised in `take`
            last = (False, error)
        finally:
            if hasattr(self._items, "close"):
                self._items.close()
            if not self._stopped.is_set():
                self._queue.put(last)

    def take(self, count, seconds):
        """A list of the next `count` items; fewer at the end, or when no other came within so many seconds from now.

        Raises what the iterable raised, once the items before that are taken.
        """
        taken, end = [], monotonic() + seconds
        while len(taken) < count and not self._ended:
            try:
                if math.isinf(end):
                    sound, value = self._queue.get()
                else:
                    sound, value = self._queue.get(timeout=max(0.0, min(end - monotonic(), threading.TIMEOUT_MAX)))
            except queue.Empty:
                break
            if sound:
                taken.append(value)
            else:
                self._ended, self._error = True, value
        if self._error is not None and not taken:
            error, self._error = self._error, None
            raise error
        return taken
