"""Bad items, full queues, cancelled requests, and the end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest
from doubling import NEVER, WATCHDOG, Doubling, behind
from hypothesis import given
from hypothesis import strategies as st

import facegen
from facegen.errors import BatcherClosed, DeviceFailure, FormatError, QueueFull


def outcome(future: Future[Any]) -> Any:
    try:
        return future.result(WATCHDOG)
    except Exception as error:
        return type(error), str(error)


class TestFailures:
    @given(
        items=st.lists(st.integers(-99, 99) | st.just("bad"), max_size=12), size=st.integers(1, 5)
    )
    def test_every_item_has_the_outcome_that_it_has_alone(self, items: list, size: int) -> None:
        with facegen.Batcher(Doubling(), max_batch=size, max_wait=0) as batcher:
            futures = [batcher.submit(item) for item in items]
            expected = [(FormatError, "found bad") if i == "bad" else 2 * i for i in items]
            assert [outcome(future) for future in futures] == expected

    def test_a_device_that_fails_fails_all_at_once(self) -> None:
        calls = []

        def fail(items: Any) -> Any:
            calls.append(items)
            raise DeviceFailure("no memory left")

        with facegen.Batcher(fail, max_batch=3, max_wait=NEVER) as batcher:
            errors = [f.exception(WATCHDOG) for f in [batcher.submit(i) for i in range(3)]]
        assert len(calls) == 1
        assert [(type(e), str(e)) for e in errors] == 3 * [(DeviceFailure, "no memory left")]
        assert len(set(map(id, errors))) == 3  # one, raised in three tasks, would mix their traces
        assert all(e is not None and e.__traceback__ is not None for e in errors)

    @pytest.mark.parametrize("error", [StopIteration(), ValueError("x"), MemoryError()])
    def test_any_exception_reaches_a_task_and_the_thread_goes_on(self, error: Exception) -> None:
        fail = [True]

        def call(items: Any) -> Any:
            if fail[0]:
                raise error
            return items

        async def main() -> None:
            async with facegen.Batcher(call, max_wait=0) as batcher:
                expected = RuntimeError if isinstance(error, StopIteration) else type(error)
                with pytest.raises(expected):
                    await batcher(1)
                fail[0] = False
                assert await batcher(2) == 2

        asyncio.run(asyncio.wait_for(main(), WATCHDOG))

    def test_a_full_queue(self, held: Doubling) -> None:
        with facegen.Batcher(held, max_batch=2, max_wait=0, max_queue=2) as batcher:
            behind(batcher, held)
            futures = [batcher.submit(i) for i in (1, 2)]
            with pytest.raises(QueueFull, match="2 requests wait already"):
                batcher.submit(3)
            with pytest.raises(QueueFull):
                asyncio.run(batcher(3))
            assert futures[0].cancel()  # which makes room
            futures.append(batcher.submit(4))
            held.go_on.set()
            assert [future.result(WATCHDOG) for future in futures[1:]] == [4, 8]
        assert held.batches == [[0], [2, 4]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_batch": 0}, "max_batch must be at least 1, not 0"),
            ({"max_wait": -1.0}, "max_wait must be a number of seconds from 0, not -1"),
            ({"max_wait": float("nan")}, "max_wait must be"),
            ({"max_wait": float("inf")}, "max_wait must be"),
            ({"max_batch": 8, "max_queue": 7}, r"max_queue must be max_batch \(8\) or more, not 7"),
        ],
    )
    def test_options_out_of_range(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            facegen.Batcher(Doubling(), **options)


class TestCancelling:
    def test_threads(self, held: Doubling) -> None:
        with facegen.Batcher(held, max_wait=0) as batcher:
            first = behind(batcher, held)
            futures = [batcher.submit(i) for i in (1, 2, 3)]
            assert not first.cancel() and futures[1].cancel()
            held.go_on.set()
            assert not wait(futures, WATCHDOG).not_done  # cancelled ones are over for it too
            with pytest.raises(CancelledError):
                futures[1].result()
        assert held.batches == [[0], [1, 3]]

    def test_tasks(self, held: Doubling) -> None:
        async def main() -> None:
            async with facegen.Batcher(held, max_wait=0) as batcher:
                computed = asyncio.create_task(batcher(0))
                assert await asyncio.to_thread(held.entered.wait, WATCHDOG)
                tasks = [asyncio.create_task(batcher(i)) for i in (1, 2)]
                await asyncio.sleep(0)  # both have submitted
                tasks[0].cancel()
                computed.cancel()  # too late for the call, but its task ends now
                results = await asyncio.gather(computed, tasks[0], return_exceptions=True)
                assert [type(result) for result in results] == 2 * [asyncio.CancelledError]
                held.go_on.set()
                assert await tasks[1] == 4

        asyncio.run(asyncio.wait_for(main(), WATCHDOG))
        assert held.batches == [[0], [2]]


class TestClosing:
    def test_what_waits_is_finished(self, held: Doubling) -> None:
        batcher = facegen.Batcher(held, max_batch=2, max_wait=NEVER)
        futures = [batcher.submit(i) for i in range(3)]  # the third would wait for a fourth
        held.go_on.set()
        batcher.close()
        assert [future.result(0) for future in futures] == [0, 2, 4]

    def test_what_waits_is_refused(self, held: Doubling) -> None:
        batcher = facegen.Batcher(held, max_wait=0)
        first = behind(batcher, held)
        futures = [batcher.submit(i) for i in (1, 2)]
        futures[0].add_done_callback(lambda future: held.go_on.set())
        batcher.close(finish=False)
        assert first.result(0) == 0
        for future in futures:
            with pytest.raises(BatcherClosed, match="closed before this request's turn"):
                future.result(0)
        assert held.batches == [[0]]

    def test_no_more_is_taken(self) -> None:
        with facegen.Batcher(Doubling()) as batcher:
            pass
        batcher.close()  # again is no error
        with pytest.raises(BatcherClosed, match="the batcher is closed"):
            batcher.submit(1)
        with pytest.raises(BatcherClosed):
            asyncio.run(batcher(1))

    def test_a_body_that_raises_refuses_what_waits(self) -> None:
        with pytest.raises(KeyError), facegen.Batcher(Doubling(), max_wait=NEVER) as batcher:
            future = batcher.submit(1)
            raise KeyError
        with pytest.raises(BatcherClosed):
            future.result(0)

    def test_the_event_loop_goes_on_meanwhile(self, held: Doubling) -> None:
        async def main() -> None:
            async with facegen.Batcher(held, max_wait=0) as batcher:
                task = asyncio.create_task(batcher(1))
                assert await asyncio.to_thread(held.entered.wait, WATCHDOG)
                closing = asyncio.create_task(batcher.aclose())
                await asyncio.sleep(0)
                held.go_on.set()
                await closing
                assert await task == 2

        asyncio.run(asyncio.wait_for(main(), WATCHDOG))

    def test_by_the_thread_itself(self) -> None:
        closed = threading.Event()
        batcher = facegen.Batcher(Doubling(), max_wait=NEVER, max_batch=1)

        def close(future: Future[Any]) -> None:
            batcher.close()
            closed.set()

        batcher.submit(1).add_done_callback(close)
        assert closed.wait(WATCHDOG)
        batcher.close()
