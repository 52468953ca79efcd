"""What a service holds while it runs: the model, the queue, the counters; and how it changes its model."""

from __future__ import annotations

import asyncio
import logging
import os

from asymcert.errors import AsymcertError
from asymcert.serve.batches import Batches
from asymcert.serve.logs import log
from asymcert.serve.metrics import Metrics
from asymcert.serve.options import ServeOptions
from asymcert.serve.refusals import RequestError, come_again
from asymcert.serve.served import Served, Source


class Service:
    """State of one worker.

    Parameters
    ----------
    source
        Where the model comes from.
    options
        Limits.
    token
        What requests must carry; None where everybody may ask.
    """

    def __init__(self, source: Source, options: ServeOptions, token: str | None = None):
        self.source, self.options, self.token = source, options, token
        self.metrics = Metrics()
        self.batches = Batches(options, self.metrics.batch.observe)
        self.served: Served | None = None
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[Served]] = set()  # the loop itself keeps none alive

    @property
    def model(self) -> Served:
        """The model that answers now; a `RequestError` with status 503 where there is none yet."""
        if self.served is None:
            raise come_again("The model is being read.")
        return self.served

    async def start(self) -> None:
        """Read the model and begin to answer."""
        self._take(await asyncio.to_thread(self.source.load))
        self.batches.start()

    async def stop(self) -> None:
        """Answer what waits, then stop."""
        self.metrics.ready.set(0)
        await self.batches.stop()

    async def reload(self) -> Served:
        """Read the run's model anew; requests that came before are answered by the earlier one.

        Raises
        ------
        RequestError
            409: what the folder holds now is no model; the earlier one stays.
        """
        async with self._reloading:
            try:
                self._take(await asyncio.to_thread(self.source.load))
            except (AsymcertError, OSError) as error:
                self.metrics.reloads.labels("failed").inc()
                log("reload failed", logging.ERROR, error)
                what = str(error) if isinstance(error, AsymcertError) else "its files cannot be read."
                what = what.replace(f"{self.source.folder}", "the run folder")
                raise RequestError(409, f"The earlier model stays, the new one cannot be used: {what}") from None
        self.metrics.reloads.labels("done").inc()
        return self.model

    def reload_soon(self) -> None:
        """`reload` on a signal, where nobody waits for an answer; the log tells how it went."""
        task = asyncio.ensure_future(self.reload())
        self._tasks.add(task)
        task.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[Served]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # `reload` has logged it

    def _take(self, served: Served) -> None:
        _ = served.reader, served.described  # worked out before the first request
        self.served = served
        self.metrics.ready.set(1)
        log("model", digest=served.digest, process=os.getpid())
