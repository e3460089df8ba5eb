"""What git-sync may tell, and what a stranger may not; over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from airflow_operator.domain.kinds import AIRFLOW_CLUSTER
from airflow_operator.runtime.gitsync import GitSyncNews
from airflow_operator.runtime.wakeups import Resource, Wakeups
from airflow_operator.runtime.webhook import application, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "f" * 32


@dataclass
class Bench:
    news: GitSyncNews
    wakeups: Wakeups
    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, commit: str | None = COMMIT, body: bytes = b"") -> int:
        headers = {} if commit is None else {"Gitsync-Hash": commit}
        async with self.session.post(f"{self.url}/git-sync/{path}", headers=headers, data=body) as response:
            assert await response.text() == ("" if response.status in (200, 503) else await response.text())
            return response.status


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    news, wakeups = GitSyncNews(), Wakeups()
    news.expect("team", "c", {"etl": TOKEN})
    async with serving(application(news, wakeups), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        yield Bench(news, wakeups, f"http://127.0.0.1:{port}", session)


async def test_commit_is_recorded_and_wakes_the_cluster(bench: Bench) -> None:
    flag = bench.wakeups.flag(Resource(AIRFLOW_CLUSTER, "team", "c"))
    assert bench.news.commit("team", "c", "etl") is None
    answer = asyncio.create_task(bench.post(f"team/c/etl/{TOKEN}"))
    await asyncio.wait_for(flag.wait(), 5)
    assert bench.news.commit("team", "c", "etl") == COMMIT
    assert bench.news.commits("team", "c") == {"etl": COMMIT}
    assert not answer.done()
    bench.news.keep("team", "c", {"etl": COMMIT})
    assert await answer == 200


async def test_news_of_a_cluster_that_was_not_looked_at_closely_have_it_looked_at(bench: Bench) -> None:
    flags = [bench.wakeups.flag(Resource(AIRFLOW_CLUSTER, "team", name)) for name in ("c", "other")]
    for name in ("c", "other"):
        assert await bench.post(f"team/{name}/unknown/{TOKEN}") == 503
    assert [flag.is_set() for flag in flags] == [False, True], "whoever makes up an entry wakes nobody"


async def test_commit_that_would_not_outlive_the_process_should_be_told_again(bench: Bench) -> None:
    flag = bench.wakeups.flag(Resource(AIRFLOW_CLUSTER, "team", "c"))
    bench.news.keep("team", "c", {"etl": COMMIT[::-1]})
    assert await bench.post(f"team/c/etl/{TOKEN}") == 503
    assert flag.is_set()
    flag.clear()
    assert await bench.post(f"team/c/etl/{TOKEN}") == 503
    assert not flag.is_set(), "told again, a commit is no news"
    bench.news.keep("team", "c", {"etl": COMMIT})
    assert await bench.post(f"team/c/etl/{TOKEN}") == 200


@pytest.mark.parametrize(
    ("path", "commit"),
    [
        (f"team/c/etl/{TOKEN[:-1]}e", COMMIT),
        ("team/c/etl/x", COMMIT),
        (f"team/c/etl/{TOKEN}", None),
        (f"team/c/etl/{TOKEN}", "main"),
        (f"team/c/etl/{TOKEN}", COMMIT + "\u00e9"),
        (f"team/c/etl/{TOKEN}/more", COMMIT),
        ("team/c/etl", COMMIT),
    ],
)
async def test_wrong_token_or_commit_is_not_found(bench: Bench, path: str, commit: str | None) -> None:
    flag = bench.wakeups.flag(Resource(AIRFLOW_CLUSTER, "team", "c"))
    assert await bench.post(path, commit) == 404
    assert bench.news.commits("team", "c") == {}
    assert not flag.is_set()


@pytest.mark.parametrize("path", [f"team/c/other/{TOKEN}", f"team/d/etl/{TOKEN}", f"other/c/etl/{TOKEN}"])
async def test_what_is_not_known_yet_should_be_told_again(bench: Bench, path: str) -> None:
    assert await bench.post(path) == 503


async def test_other_methods_are_refused(bench: Bench) -> None:
    async with bench.session.get(f"{bench.url}/git-sync/team/c/etl/{TOKEN}") as response:
        assert response.status == 405


async def test_changed_token_invalidates_the_old_one(bench: Bench) -> None:
    bench.news.expect("team", "c", {"etl": "new"})
    assert await bench.post(f"team/c/etl/{TOKEN}") == 404
    bench.news.keep("team", "c", {"etl": COMMIT})
    assert await bench.post("team/c/etl/new") == 200
    bench.news.forget("team", "c")
    assert await bench.post("team/c/etl/new") == 503


async def test_another_repository_forgets_the_commit_of_the_first(bench: Bench) -> None:
    bench.news.keep("team", "c", {"etl": COMMIT})
    assert await bench.post(f"team/c/etl/{TOKEN}") == 200
    assert bench.news.commit("team", "c", "etl") == COMMIT
    bench.news.expect("team", "c", {"etl": TOKEN})
    assert bench.news.commit("team", "c", "etl") == COMMIT
    bench.news.expect("team", "c", {"etl": "new"})
    assert bench.news.commit("team", "c", "etl") is None
