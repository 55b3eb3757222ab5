"""Who gets which wording: always the same one, exactly as many as was said, and nobody moves who need not."""

from collections import Counter
from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from clarion.intelligence.experiments import BUCKETS, bucket, table

PEOPLE = [f"user-{number}".encode() for number in range(20_000)]
SEED = b"shop\nspring"
YESTERDAY = "aacccccaccbccababbacacbacccbcabaccbbcaba"
weights = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3), st.sampled_from([0, 0.5, 1, 1, 2, 3]), min_size=2, max_size=6
).filter(lambda found: any(found.values()))


def moved(one: dict[str, float], other: dict[str, float], seed: bytes = SEED) -> int:
    return sum(was != now for was, now in zip(table(seed, one), table(seed, other), strict=True))


def must(one: dict[str, float], other: dict[str, float]) -> float:
    """How many buckets change hands at least."""
    was, now = Counter(table(SEED, one)), Counter(table(SEED, other))
    return sum(max(0, now[key] - was[key]) for key in now)


@given(weights)
def test_each_has_its_part_whatever_the_order(given_: dict[str, float]) -> None:
    owners = Counter(table(SEED, given_))
    total = sum(given_.values())
    assert owners.total() == BUCKETS
    assert all(abs(owners[key] - weight / total * BUCKETS) < 1 for key, weight in given_.items())
    assert table(SEED, dict(reversed(given_.items()))) == table(SEED, given_)
    assert table(SEED, {key: weight * 3 for key, weight in given_.items()}) == table(SEED, given_)


@given(weights, st.sampled_from([0, 0.5, 2, 4]), st.data())
def test_few_move_when_a_weight_changes_or_a_variant_comes(
    given_: dict[str, float], weight: float, data: st.DataObject
) -> None:
    changed = {**given_, data.draw(st.sampled_from([*given_, "zz"])): weight}
    if any(changed.values()):
        assert moved(given_, changed) <= 1.25 * must(given_, changed) + 15


def test_of_two_only_those_move_who_must() -> None:
    assert moved({"a": 1, "b": 1}, {"a": 60, "b": 40}) <= 105
    assert moved({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1}) <= 345
    assert moved({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1}) <= 345


def test_who_had_what_yesterday_has_it_today() -> None:
    """Another hash would mix experiments that run."""
    owners = table(SEED, {"a": 1, "b": 1, "c": 2})
    assert "".join(owners[bucket(SEED, person)] for person in PEOPLE[:40]) == YESTERDAY


def test_people_are_spread_evenly_and_anew_in_each_experiment() -> None:
    share = {"a": 30, "b": 70}
    mine, theirs = table(SEED, share), table(b"shop\nsummer", share)
    both = Counter((mine[bucket(SEED, one)], theirs[bucket(b"shop\nsummer", one)]) for one in PEOPLE)
    for one, other, part in (("a", "a", 0.09), ("a", "b", 0.21), ("b", "a", 0.21), ("b", "b", 0.49)):
        assert abs(both[one, other] - part * len(PEOPLE)) < 5 * sqrt(len(PEOPLE) * part * (1 - part))
