"""The cache by identity: equal objects are asked about anew, and none is mistaken for another."""

from lightsearch.design.identity_cache import cache_by_identity


def test_each_object_is_asked_about_once() -> None:
    asked: list[list[int]] = []

    @cache_by_identity(10)
    def total(values: list[int]) -> int:
        asked.append(values)
        return sum(values)

    one, twin = [1, 2], [1, 2]
    assert [total(one), total(twin), total(one), total(twin)] == [3, 3, 3, 3]
    assert len(asked) == 2
    assert asked[0] is one
    assert asked[1] is twin


def test_no_object_takes_the_place_of_one_that_is_gone() -> None:
    """A new object often gets the address of the last one that was freed."""

    @cache_by_identity(3)
    def first(values: list[int]) -> int:
        return values[0]

    for number in range(100):
        assert first([number]) == number
