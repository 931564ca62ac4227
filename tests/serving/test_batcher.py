"""Which items are computed together, and what each gets."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from doubling import NEVER, WATCHDOG, Doubling, behind

import facegen
from facegen.errors import FormatError
from facegen.networks import lenet
from facegen.networks.dcgan import latents


class TestBatches:
    def test_a_full_batch_is_computed_at_once(self) -> None:
        model = Doubling()
        with facegen.Batcher(model, max_batch=3, max_wait=NEVER) as batcher:
            futures = [batcher.submit(i) for i in range(6)]
            assert [future.result(WATCHDOG) for future in futures] == [0, 2, 4, 6, 8, 10]
        assert model.batches == [[0, 1, 2], [3, 4, 5]]

    def test_a_batch_that_does_not_fill_waits_so_long(self) -> None:
        model = Doubling()
        with facegen.Batcher(model, max_wait=0.02) as batcher:
            begin = time.monotonic()
            assert batcher.submit(4).result(WATCHDOG) == 8
            assert time.monotonic() - begin >= 0.02

    def test_what_comes_during_a_call_is_the_next_batch(self, held: Doubling) -> None:
        with facegen.Batcher(held, max_batch=3, max_wait=0) as batcher:
            futures = [behind(batcher, held), *(batcher.submit(i) for i in range(1, 6))]
            held.go_on.set()
            assert [future.result(WATCHDOG) for future in futures] == [0, 2, 4, 6, 8, 10]
        assert held.batches == [[0], [1, 2, 3], [4, 5]]

    def test_many_threads(self) -> None:
        model = Doubling()
        batcher = facegen.Batcher(model, max_batch=8, max_wait=0)
        with batcher, ThreadPoolExecutor(16) as threads:
            results = threads.map(lambda i: batcher.submit(i).result(WATCHDOG), range(500))
            assert list(results) == [2 * i for i in range(500)]
        assert sorted(sum(model.batches, [])) == list(range(500))
        assert max(map(len, model.batches)) <= 8

    def test_tasks(self) -> None:
        model = Doubling()

        async def main() -> list[int]:
            async with facegen.Batcher(model, max_batch=4, max_wait=NEVER) as batcher:
                return await asyncio.gather(*(batcher(i) for i in range(8)))

        assert asyncio.run(main()) == [2 * i for i in range(8)]
        assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]

    def test_tasks_and_threads_in_one_batch(self) -> None:
        model = Doubling()

        async def main() -> None:
            async with facegen.Batcher(model, max_batch=2, max_wait=NEVER) as batcher:
                result, other = await asyncio.gather(
                    batcher(1), asyncio.to_thread(lambda: batcher.submit(2).result(WATCHDOG))
                )
                assert (result, other) == (2, 4)

        asyncio.run(main())
        assert [sorted(batch) for batch in model.batches] == [[1, 2]]

    def test_a_thread_is_started_by_the_first_request(self) -> None:
        def threads() -> list[str]:
            return [each.name for each in threading.enumerate() if "batcher" in each.name]

        with facegen.Batcher(Doubling(), max_wait=0) as batcher:
            assert threads() == []
            batcher.submit(1).result(WATCHDOG)
            batcher.submit(1).result(WATCHDOG)
            assert len(threads()) == 1
        assert threads() == []


class TestItems:
    def test_arrays_of_one_kind_share_a_call(self, held: Doubling) -> None:
        items = [
            np.ones(3, np.float32),
            np.ones(3, np.uint8),
            np.ones(4, np.float32),
            np.full(3, 7, np.float32),
            1,
        ]
        with facegen.Batcher(held, max_wait=0) as batcher:
            behind(batcher, held)
            futures = [batcher.submit(item) for item in items]
            held.go_on.set()
            for future, item in zip(futures, items, strict=True):
                assert np.array_equal(future.result(WATCHDOG), item * 2)
        assert [np.shape(batch) for batch in held.batches[1:]] == [(2, 3), (1, 3), (1, 4), (1,)]
        assert held.batches[2].dtype == np.uint8

    def test_without_stacking_a_call_gets_a_list(self) -> None:
        model = Doubling()
        with facegen.Batcher(model, max_batch=2, max_wait=NEVER, stack=False) as batcher:
            futures = [batcher.submit(np.zeros(n)) for n in (3, 4)]
            assert [future.result(WATCHDOG).shape for future in futures] == [(3,), (4,)]
        assert len(model.batches) == 1 and isinstance(model.batches[0], list)

    def test_a_named_tuple_is_split_by_item(self) -> None:
        class Both(NamedTuple):
            single: np.ndarray
            double: np.ndarray

        with facegen.Batcher(lambda x: Both(x, 2 * x), max_batch=2, max_wait=NEVER) as batcher:
            a, b = (batcher.submit(np.full(3, n)) for n in (5, 6))
            assert isinstance(a.result(WATCHDOG), Both)
            assert b.result(WATCHDOG).double.tolist() == [12, 12, 12]

    def test_a_result_is_its_own(self) -> None:
        """No view into those of others, which it would keep alive."""
        with facegen.Batcher(lambda x: x, max_batch=2, max_wait=NEVER) as batcher:
            a, b = (batcher.submit(np.zeros(3)).result for _ in range(2))
            a(WATCHDOG)[:] = 1
            assert a().base is None and b(WATCHDOG).tolist() == [0, 0, 0]

    def test_what_is_done_is_held_by_nobody(self) -> None:
        """Without the cyclic collector, which may take its time."""
        item = np.zeros(3)
        gc.disable()
        try:
            with facegen.Batcher(lambda items: [0], max_wait=0) as batcher:
                gone = weakref.ref(item)
                batcher.submit(item).result(WATCHDOG)
                del item
                batcher.submit(1).result(WATCHDOG)  # the thread has left the batch before
                assert gone() is None
        finally:
            gc.enable()

    @pytest.mark.parametrize("results", [None, [1], np.zeros((3, 2)), {"a": 1, "b": 2}])
    def test_a_result_for_each(self, results: Any) -> None:
        with facegen.Batcher(lambda items: results, max_batch=2, max_wait=NEVER) as batcher:
            futures = [batcher.submit(i) for i in range(2)]
            for future in futures:
                with pytest.raises(FormatError, match="expected a result for each of 2 items: "):
                    future.result(WATCHDOG)


class TestBits:
    """What a model computes in a batch is what it computes alone."""

    def test_faces(self) -> None:
        model = facegen.Generator(device="cpu")
        points = latents(range(7))
        with facegen.Batcher(model, max_batch=7, max_wait=NEVER) as batcher:
            futures = [batcher.submit(point) for point in points]
            for future, point in zip(futures, points, strict=True):
                assert future.result(WATCHDOG).tobytes() == model(point)[0].tobytes()

    def test_digits(self) -> None:
        model = facegen.DigitClassifier(device="cpu")
        images = np.random.default_rng(0).random((5, 28, 28), np.float32)
        with facegen.Batcher(model, max_batch=5, max_wait=NEVER) as batcher:
            futures = [batcher.submit(image) for image in images]
            for future, image in zip(futures, images, strict=True):
                alone, guesses = model(image), future.result(WATCHDOG)
                assert isinstance(guesses, lenet.Guesses)
                assert guesses.digits == alone.digits[0]
                assert guesses.probabilities.tobytes() == alone.probabilities[0].tobytes()

    def test_bad_latents_fail_alone(self) -> None:
        model = facegen.Generator(device="cpu")
        points: list[Any] = [*latents(range(3)), np.full(100, np.nan, np.float32), np.zeros(99)]
        with facegen.Batcher(model, max_batch=5, max_wait=NEVER) as batcher:
            futures = [batcher.submit(point) for point in points]
            for future, point in zip(futures[:3], points, strict=False):
                assert np.array_equal(future.result(WATCHDOG), model(point)[0])
            with pytest.raises(FormatError, match=r"latents: found nan at \[0, 0\]"):
                futures[3].result(WATCHDOG)
            with pytest.raises(FormatError, match=r"expected shape \(n, 100\), found \(1, 99\)"):
                futures[4].result(WATCHDOG)
