import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fairlead_operator.handlers.queue import WorkQueue

Work = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def running(work: Work, workers: int = 2) -> AsyncIterator[WorkQueue[str]]:
    queue = WorkQueue(work)
    task = asyncio.create_task(queue.run(workers))
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_key_is_worked_on_by_one_worker_at_a_time_and_no_event_is_lost() -> None:
    running_now, runs = 0, 0
    started, go = asyncio.Event(), asyncio.Event()
    twice = asyncio.Event()

    async def work(key: str) -> None:
        nonlocal running_now, runs
        running_now += 1
        runs += 1
        assert running_now == 1
        started.set()
        await go.wait()
        running_now -= 1
        if runs == 2:
            twice.set()

    async with running(work) as queue:
        queue.add("a")
        await started.wait()
        for _ in range(5):
            queue.add("a")
        go.set()
        async with asyncio.timeout(5):
            await twice.wait()
    assert runs == 2


async def test_one_failing_key_comes_back_and_holds_up_no_other() -> None:
    tries: dict[str, int] = {}
    good, healed = asyncio.Event(), asyncio.Event()

    async def work(key: str) -> None:
        tries[key] = tries.get(key, 0) + 1
        if key == "good":
            good.set()
        elif tries[key] < 3:
            raise RuntimeError("not yet")
        else:
            healed.set()

    async with running(work, workers=1) as queue:
        queue.add("bad")
        queue.add("good")
        async with asyncio.timeout(5):
            await good.wait()
            await healed.wait()
    assert tries == {"good": 1, "bad": 3}


async def test_work_asks_to_come_back_after_a_while() -> None:
    runs = 0
    again = asyncio.Event()

    async def work(key: str) -> float | None:
        nonlocal runs
        runs += 1
        if runs == 2:
            again.set()
            return None
        return 0.01

    async with running(work) as queue:
        queue.add("a")
        async with asyncio.timeout(5):
            await again.wait()


async def test_the_sooner_of_two_appointments_counts() -> None:
    done = asyncio.Event()

    async def work(key: str) -> None:
        done.set()

    async with running(work) as queue:
        queue.add_after("a", 0.01)
        queue.add_after("a", 3600)
        async with asyncio.timeout(5):
            await done.wait()
