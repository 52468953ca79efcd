"""Requests that arrive together are answered together: a queue, and one thread for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from asymcert.serve.answers import Answer, Asked
from asymcert.serve.options import ServeOptions
from asymcert.serve.questions import Question
from asymcert.serve.refusals import RequestError, come_again
from asymcert.serve.served import Served


@dataclass(frozen=True, eq=False)
class Job:
    """A request that waits, with the model that it found when it came."""

    served: Served
    question: Question
    asked: Asked
    done: asyncio.Future[list[Answer]]

    @property
    def key(self) -> tuple[Any, ...]:
        """Jobs of one key can be answered together."""
        asked = self.asked
        return id(self.served), self.question.kind, tuple(asked.threats), asked.reasons, asked.evasions


class Batches:
    """Answers requests in batches; while one is worked on, the next gathers.

    Parameters
    ----------
    options
        How many requests may wait, how long, and how many rows are certified together.
    seen
        Called with the number of rows of each batch.
    """

    def __init__(self, options: ServeOptions, seen: Any = None):
        self.options, self.seen = options, seen
        self.queue: asyncio.Queue[Job] = asyncio.Queue(options.max_waiting)
        self.thread = ThreadPoolExecutor(1, "asymcert-model")
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer, in the loop that is running."""
        self.task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answer what waits, then stop."""
        if self.task is not None:
            await self.queue.join()
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        self.thread.shutdown()

    async def answer(self, served: Served, question: Question) -> list[Answer]:
        """One answer for each sample of a question.

        Raises
        ------
        RequestError
            422 where the question does not fit the model, 503 where too many wait, 504 where it took too long.
        """
        job = Job(served, question, served.asked(question), asyncio.get_running_loop().create_future())
        try:
            self.queue.put_nowait(job)
        except asyncio.QueueFull:
            raise come_again("Too many requests wait.") from None
        try:
            async with asyncio.timeout(self.options.max_seconds):
                return await job.done
        except TimeoutError:
            limit = f"{self.options.max_seconds:g} seconds"
            raise RequestError(504, f"The request was not answered within {limit}. Send fewer rows.") from None

    async def _work(self) -> None:
        while True:
            waiting = [await self.queue.get()]
            while not self.queue.empty():
                waiting.append(self.queue.get_nowait())
            for jobs in self._together([job for job in waiting if not job.done.done()]):
                await self._answer(jobs)
            for _ in waiting:
                self.queue.task_done()

    def _together(self, waiting: Sequence[Job]) -> Iterator[list[Job]]:
        """Jobs that ask the same, in batches of about `batch_rows` rows."""
        groups: dict[tuple[Any, ...], list[Job]] = {}
        for job in waiting:
            groups.setdefault(job.key, []).append(job)
        for jobs in groups.values():
            batch, rows = [], 0
            for job in jobs:
                if batch and rows + len(job.question.samples) > self.options.batch_rows:
                    yield batch
                    batch, rows = [], 0
                batch.append(job)
                rows += len(job.question.samples)
            yield batch

    async def _answer(self, jobs: list[Job]) -> None:
        """Answer jobs of one key; where that fails, each by itself, so that a bad one fails alone."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self.thread, self._certify, jobs)
            for job, answers in zip(jobs, found, strict=True):
                if not job.done.done():
                    job.done.set_result(answers)
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    await self._answer([job])
            elif not jobs[0].done.done():
                jobs[0].done.set_exception(error)

    def _certify(self, jobs: list[Job]) -> list[list[Answer]]:
        first, parts = jobs[0], [job.question.samples for job in jobs]
        if self.seen is not None:
            self.seen(sum(map(len, parts)))
        return first.served.answers(first.asked, first.question.kind, parts, self.options.batch_rows)
